/// Allows `rate` tokens a second on average and `burst` at once; a token is an event, or a byte.
package struct TokenBucket: Sendable {
    package private(set) var rate: Double
    private var burst: Double
    /// Below 0 where more was taken than there was, as `charge` does.
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
        refill(now: now)
        guard tokens >= 1 else { return false }
        tokens -= 1
        return true
    }

    /// Seconds until so many tokens are there, or the bucket is full; 0 where they are.
    package func seconds(until wanted: Double, now: Instant) -> Instant {
        let there = min(burst, tokens + rate * max(0, now - last))
        let missing = min(wanted, burst) - there
        // For a thousandth of a token nobody waits: rounding leaves such, and the time for one may
        // be too short to move a clock.
        return missing <= 1e-3 ? 0 : missing / rate
    }

    /// Takes tokens whether they are there or not: what is owed has to come in first.
    package mutating func charge(_ taken: Double, now: Instant) {
        refill(now: now)
        tokens -= taken
    }

    /// Has tokens come at another rate from now on; what is there or owed stays, up to `burst`.
    package mutating func setRate(_ rate: Double, burst: Double, now: Instant) {
        refill(now: now)
        self.rate = rate
        self.burst = burst
        tokens = min(burst, tokens)
    }

    private mutating func refill(now: Instant) {
        tokens = min(burst, tokens + rate * max(0, now - last))
        last = now
    }
}

/// Seconds on a clock that only rises; its zero means nothing.
///
/// Policy takes it as an argument, so that tests can run a whole swarm in virtual time.
package typealias Instant = Double
