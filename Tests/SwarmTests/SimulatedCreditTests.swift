import PetalsSimulation
import Testing

/// Each attack on credit, with the books and the upload plans that petalsfs runs, in virtual time:
/// every target of its own is a promise.
///
/// A debug build takes thirty times as long for the same, so it runs those that need no swarm, and
/// less of them; what is asserted is what `scripts/simulate credit` asserts of the full size. A
/// release build runs all.
struct SimulatedCreditTests {
    #if DEBUG
        private static let attacks = Attack.all.filter { !$0.isLong }
        private static let part = 0.1
    #else
        private static let attacks = Attack.all
        private static let part = 1.0
    #endif
    private static let withDefence = [12, 13, 14, 16, 22]

    @Test(
        "An attack stays within its bounds", .timeLimit(.minutes(10)),
        arguments: attacks.map(\.number))
    func attack(number: Int) throws {
        let attack = try #require(Attack.all.first { $0.number == number })
        let seed: UInt64 = 1
        let outcome = try attack.run(.init(seed: seed, part: Self.part))
        #expect(outcome.violations.isEmpty, "seed \(seed): \(outcome.violations.prefix(3))")
        #expect(!outcome.measures.isEmpty)
        for measure in outcome.measures {
            #expect(
                measure.isMet,
                "seed \(seed), \(outcome.name): \(measure.what) is \(measure.value)")
        }
    }

    /// Each of these shows something: without what petalsfs does against it, a target is missed.
    @Test("An attack succeeds where nothing is done against it", arguments: withDefence)
    func undefended(number: Int) throws {
        let attack = try #require(Attack.all.first { $0.number == number })
        let seed: UInt64 = 1
        let outcome = try attack.run(.init(seed: seed, part: Self.part, isDefended: false))
        #expect(outcome.measures.contains { !$0.isMet }, "seed \(seed), \(outcome.name)")
    }

    /// A measure that is no number, or on the wrong side, is not met.
    @Test func missesAreSeen() {
        #expect(!Attack.Measure("x", .nan, atMost: 1).isMet)
        #expect(!Attack.Measure("x", .nan, atLeast: 1).isMet)
        #expect(!Attack.Measure("x", 1.1, atMost: 1).isMet)
        #expect(!Attack.Measure("x", 0.9, atLeast: 1).isMet)
        #expect(Attack.Measure("x", 1, atMost: 1).isMet && Attack.Measure("x", 1, atLeast: 1).isMet)
    }
}
