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
                if decision.outcome == .refused(.limit) {
                    #expect(shardClass == .cached && length > limit, "seed \(seed)")
                    break
                }
                guard decision.outcome == .granted else { continue }
                if generator.next() % 7 == 0 {
                    ledger.cancel(length, for: shardClass)
                } else {
                    let written = Int.random(in: 1...length, using: &generator)
                    ledger.commit(length, key(number), as: shardClass, written: written)
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
            #expect(ledger.counted <= limit, "seed \(seed)")
            ledger.checkInvariants(isThorough: true)
        }
    }

    @Test func aCellThatWasReadHasASecondChance() {
        var ledger = SpaceLedger(limit: 30)
        for number in 0..<3 {
            #expect(ledger.reserve(10, for: .cached).outcome == .granted)
            ledger.commit(10, key(number), as: .cached, written: 10)
        }
        // The first time around takes the chances that the cells came with.
        let first = ledger.reserve(10, for: .cached)
        #expect(first.victims == [key(0)] && first.outcome == .askAgain)
        ledger.vacate(10, key(0), from: .cached)
        ledger.touch(key(1))
        #expect(ledger.reserve(10, for: .cached).outcome == .granted)
        ledger.commit(10, key(3), as: .cached, written: 10)
        #expect(ledger.reserve(10, for: .cached).victims == [key(2)])
    }

    @Test func whatCannotFitIsRefusedAndNothingEvicted() {
        var ledger = SpaceLedger(limit: 30)
        #expect(ledger.admit(10, key(0), as: .cached) == true)
        let decision = ledger.reserve(31, for: .cached)
        #expect(decision.outcome == .refused(.limit) && decision.victims.isEmpty)
        // What is about to be written cannot be evicted for another.
        #expect(ledger.reserve(15, for: .cached).outcome == .granted)
        #expect(ledger.reserve(16, for: .cached).outcome == .refused(.limit))
        #expect(ledger.reserve(15, for: .cached).victims == [key(0)])
        // Its space counts until it has gone.
        #expect(ledger.reserve(15, for: .cached).outcome == .askAgain)
        ledger.vacate(10, key(0), from: .cached)
        #expect(ledger.reserve(15, for: .cached).outcome == .granted)
        #expect(ledger.counted == 30)
    }

    @Test func otherClassesCountForNothing() {
        for shardClass in [ShardClass.seeded, .held, .pinned] {
            var ledger = SpaceLedger(limit: 10)
            #expect(ledger.admit(10, key(0), as: .cached) == true)
            let decision = ledger.reserve(50, for: shardClass)
            #expect(decision.outcome == .granted && decision.victims.isEmpty)
            ledger.commit(50, key(1), as: shardClass, written: 50)
            #expect(ledger.counted == 10 && ledger.used == 60)
            // Where the class changes, the limit has its say.
            #expect(ledger.move([(50, key(1))], from: shardClass, to: .cached) == 50)
            #expect(ledger.used(shardClass) == 50)
            ledger.vacate(10, key(0), from: .cached)
            #expect(ledger.move([(50, key(1))], from: shardClass, to: .cached) == 40)
            ledger.checkInvariants(isThorough: true)
        }
    }

    @Test func whatTheDiskDoesNotTakeBackStillCounts() {
        var ledger = SpaceLedger(limit: 30)
        for number in 0..<3 { #expect(ledger.admit(10, key(number), as: .cached) == true) }
        #expect(ledger.admit(1, key(3), as: .cached) == false)
        ledger.vacate(10, key(0), from: .cached, isFreed: false)
        #expect(ledger.used(.cached) == 20 && ledger.counted == 30)
        #expect(ledger.reserve(21, for: .cached).outcome == .refused(.limit))
        ledger.vacate(10, key(1), from: .cached)
        #expect(ledger.reserve(10, for: .cached).outcome == .granted)
        ledger.cancel(10, for: .cached, isFreed: false)
        #expect(ledger.stranded == 20 && ledger.counted == 30)
    }

    @Test func aVictimIsNamedOnceUntilItIsSpared() {
        var ledger = SpaceLedger(limit: 10)
        #expect(ledger.admit(10, key(0), as: .cached) == true)
        #expect(ledger.takeVictims(1) == [key(0)])
        #expect(ledger.takeVictims(1).isEmpty)
        ledger.spare(key(0))
        #expect(ledger.takeVictims(1) == [key(0)])
    }
}
