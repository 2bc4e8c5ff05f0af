import PetalsCore
import PetalsTesting
import Testing

@testable import PetalsStore

/// The ledger against a list of cells: random reservations, evictions and changes of class.
@Suite struct SpaceLedgerTests {
    private func key(_ number: Int) -> SpaceLedger.CellKey {
        SpaceLedger.CellKey(
            blob: 1, address: CellAddress(shard: ShardIndex(0), cell: CellIndex(number)))
    }

    @Test(arguments: 0..<20) func aListSaysTheSame(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let limit = Int.random(in: 0...2000, using: &generator)
        var ledger = SpaceLedger(limit: limit)
        var model: [SpaceLedger.CellKey: (length: Int, shardClass: ShardClass)] = [:]
        for number in 0..<400 {
            let length = Int.random(in: 1...256, using: &generator)
            let shardClass = generator.next() % 5 == 0 ? ShardClass.held : .cached
            for _ in 0..<3 {
                let decision = ledger.reserve(length, for: shardClass)
                for victim in decision.victims {
                    let gone = model.removeValue(forKey: victim)
                    #expect(gone?.shardClass == .cached, "seed \(seed)")
                    ledger.vacate(gone?.length ?? 0, victim, from: .cached)
                }
                guard decision.isGranted else {
                    if decision.victims.isEmpty { break }
                    continue
                }
                if generator.next() % 7 == 0 {
                    ledger.cancel(length)
                } else {
                    ledger.commit(length, key(number), as: shardClass)
                    model[key(number)] = (length, shardClass)
                }
                break
            }
            if let touched = model.keys.randomElement(using: &generator) { ledger.touch(touched) }
            for shardClass in ShardClass.allCases {
                let sum = model.values.filter { $0.shardClass == shardClass }
                    .reduce(0) { $0 + $1.length }
                #expect(ledger.used(shardClass) == sum, "seed \(seed)")
            }
            #expect(ledger.reserved == 0)
            #expect(
                ledger.used <= limit || ledger.used(.cached) == 0
                    || shardClass == .cached, "seed \(seed)")
            if model.values.allSatisfy({ $0.shardClass == .cached }) {
                #expect(ledger.used <= limit, "seed \(seed)")
            }
            ledger.checkInvariants(isThorough: true)
        }
    }

    @Test func aCellThatWasReadHasASecondChance() {
        var ledger = SpaceLedger(limit: 30)
        for number in 0..<3 {
            #expect(ledger.reserve(10, for: .cached).isGranted)
            ledger.commit(10, key(number), as: .cached)
        }
        // The first time around takes the chances that the cells came with.
        let first = ledger.reserve(10, for: .cached)
        #expect(first.victims == [key(0)] && !first.isGranted)
        ledger.vacate(10, key(0), from: .cached)
        ledger.touch(key(1))
        #expect(ledger.reserve(10, for: .cached).isGranted)
        ledger.commit(10, key(3), as: .cached)
        #expect(ledger.reserve(10, for: .cached).victims == [key(2)])
    }

    @Test func whatCannotFitIsRefusedAndNothingEvicted() {
        var ledger = SpaceLedger(limit: 30)
        ledger.occupy(10, key(0), as: .cached)
        let decision = ledger.reserve(31, for: .cached)
        #expect(!decision.isGranted && decision.victims.isEmpty)
        ledger.occupy(25, key(1), as: .seeded)
        #expect(ledger.reserve(10, for: .cached).victims.isEmpty, "seeded cells are no victims")
    }

    @Test func otherClassesAreNeverRefused() {
        var ledger = SpaceLedger(limit: 10)
        ledger.occupy(10, key(0), as: .cached)
        let decision = ledger.reserve(50, for: .pinned)
        #expect(decision.isGranted && decision.victims == [key(0)])
    }

    @Test func aVictimIsNamedOnceUntilItIsSpared() {
        var ledger = SpaceLedger(limit: 10)
        ledger.occupy(10, key(0), as: .cached)
        #expect(ledger.takeVictims(1) == [key(0)])
        #expect(ledger.takeVictims(1).isEmpty)
        ledger.spare(key(0))
        #expect(ledger.takeVictims(1) == [key(0)])
    }
}
