internal import PetalsTesting

/// An attack on credit, or a trial of it: what is done, and what has to come of it.
///
/// The numbers are those of the table in docs/SIMULATION.md.
package struct Attack: Sendable {
    /// What one run found of one target.
    package struct Measure: Codable, Hashable, Sendable {
        package let what: String
        package let value: Double
        package let target: Double
        package let isUpperBound: Bool
        /// How the value is to be written: `%`, `KiB` and the like.
        package let unit: String

        /// A value that has to stay below its target, or on it.
        package init(_ what: String, _ value: Double, atMost target: Double, _ unit: String = "") {
            self.what = what
            self.value = value
            self.target = target
            isUpperBound = true
            self.unit = unit
        }

        /// A value that has to reach its target.
        package init(
            _ what: String, _ value: Double, atLeast target: Double, _ unit: String = ""
        ) {
            self.what = what
            self.value = value
            self.target = target
            isUpperBound = false
            self.unit = unit
        }

        /// Whether the target is met; what is not a number meets none.
        package var isMet: Bool { isUpperBound ? value <= target : value >= target }
    }

    /// How large a run is: all that was promised, or what a debug build does in seconds.
    package struct Scale: Sendable {
        package let seed: UInt64
        /// 1, or the part of the full size that is run.
        package let part: Double
        /// Whether what petalsfs does against the attack is done; without it a target has to be
        /// missed, or its attack shows nothing.
        package let isDefended: Bool

        package init(seed: UInt64, part: Double = 1, isDefended: Bool = true) {
            self.seed = seed
            self.part = part
            self.isDefended = isDefended
        }

        /// A number of things, at least as many as the case needs to mean anything.
        func count(_ full: Int, least: Int = 1) -> Int {
            max(least, Int((Double(full) * part).rounded()))
        }

        /// The generator of the case.
        var generator: SeededGenerator { SeededGenerator(seed: seed) }
    }

    /// What came of it.
    package struct Outcome: Codable, Sendable {
        package let number: Int
        package let name: String
        package let measures: [Measure]
        /// Promises that no run may break: books that balance, bytes that are counted.
        package let violations: [String]
    }

    package let number: Int
    package let name: String
    private let body: @Sendable (Scale) throws -> ([Measure], [String])

    init(
        _ number: Int, _ name: String,
        _ body: @escaping @Sendable (Scale) throws -> ([Measure], [String])
    ) {
        self.number = number
        self.name = name
        self.body = body
    }

    /// Whether it needs a swarm for minutes of virtual time, which a debug build does not do in a
    /// test's time.
    package var isLong: Bool { [1, 2, 3, 5, 6, 7, 8, 17, 18, 19].contains(number) }

    /// Runs it.
    package func run(_ scale: Scale) throws -> Outcome {
        let (measures, violations) = try body(scale)
        return Outcome(number: number, name: name, measures: measures, violations: violations)
    }
}

extension Attack {
    /// All that there are, in the order of their numbers.
    package static let all: [Attack] = [
        sybils, numbers, oneNetwork, clique, contributor, riders, whitewashing, withheld, twice,
        forgeries, rarity, flippers, claimants, slowLoris, flood, eclipse, churn, unequal, hoarders,
        coldStart, crashes, junk,
    ].sorted { $0.number < $1.number }
}
