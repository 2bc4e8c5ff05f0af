/// Allows `rate` events a second on average and `burst` at once.
package struct TokenBucket: Sendable {
    private let rate: Double
    private let burst: Double
    private var tokens: Double
    private var last: Instant

    package init(rate: Double, burst: Double, now: Instant) {
        self.rate = rate
        self.burst = burst
        tokens = burst
        last = now
    }

    /// Takes one token; false when there is none.
    package mutating func take(now: Instant) -> Bool {
        tokens = min(burst, tokens + rate * max(0, now - last))
        last = now
        guard tokens >= 1 else { return false }
        tokens -= 1
        return true
    }
}

/// Seconds on a clock that only rises; its zero means nothing.
///
/// Policy takes it as an argument, so that tests can run a whole swarm in virtual time.
package typealias Instant = Double
