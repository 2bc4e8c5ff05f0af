internal import Glibc

/// The one place where this room reads a clock.
package enum MonotonicClock {
    /// Seconds that only rise (CLOCK_MONOTONIC).
    package static var now: Instant {
        var time = timespec()
        // SAFETY: clock_gettime writes one timespec, for which the pointer is valid during the
        // call; CLOCK_MONOTONIC always exists on Linux, so the result needs no check.
        _ = unsafe clock_gettime(CLOCK_MONOTONIC, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
    }
}
