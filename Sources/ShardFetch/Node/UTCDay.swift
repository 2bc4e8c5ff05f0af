internal import Glibc

/// Days since 1970-01-01 UTC, by which topics change.
package enum UTCDay {
    /// The day of the system's clock.
    package static var today: UInt32 {
        let seconds = Glibc.time(nil)
        return UInt32(clamping: seconds / 86_400)
    }
}
