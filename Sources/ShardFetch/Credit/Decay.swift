internal import Glibc
package import PetalsCore

/// What is left of an amount after hours of forgetting, in whole numbers.
///
/// Both ends of a debt forget it, each by itself. So forgetting happens at the full hours of one
/// clock, and the same amount loses the same with either sign: two books that agree go on agreeing
/// to the last mill, whenever either of them looks.
package struct Decay: Hashable, Sendable {
    /// What is left after an hour, in parts of 2^64.
    private let factor: UInt64

    /// Makes the decay with a half-life of so many hours, at least one.
    package init(halfLifeHours: Int) {
        // Below 2^64 for every half-life that a Double can tell from eternity.
        factor = UInt64(exp2(64 - 1 / Double(min(max(1, halfLifeHours), 1_000_000))))
    }

    /// What is left of an amount after so many full hours, rounded towards zero.
    ///
    /// - Complexity: O(hours), until nothing is left; 64 half-lives at most.
    package func applied(to amount: Mills, hours: Int) -> Mills {
        guard hours > 0, amount != .zero else { return amount }
        var magnitude = amount.rawValue.magnitude
        for _ in 0..<hours {
            magnitude = magnitude.multipliedFullWidth(by: factor).high
            if magnitude == 0 { break }
        }
        let left = Int64(clamping: magnitude)
        return Mills(amount.rawValue < 0 ? -left : left)
    }

    /// The full hour of a moment in seconds since 1970.
    package static func hour(_ seconds: Int) -> Int { seconds / 3600 }
}
