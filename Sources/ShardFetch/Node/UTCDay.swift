internal import Glibc

/// Days since 1970-01-01 UTC, by which topics change.
package enum UTCDay {
    /// The day of the system's clock.
    package static var today: UInt32 {
        let seconds = Glibc.time(nil)
        return UInt32(clamping: seconds / 86_400)
    }

    /// Seconds since 1970, by the system's clock.
    package static var secondsNow: Int { Glibc.time(nil) }

    /// Seconds of the day that have passed, by the system's clock.
    static var secondOfDay: Int { Glibc.time(nil) % 86_400 }

    /// The days that it may be elsewhere: near midnight two, since clocks differ.
    static func near(_ today: UInt32, secondOfDay: Int) -> [UInt32] {
        if secondOfDay < clockDifferenceMax { return [today, today &- 1] }
        if secondOfDay >= 86_400 - clockDifferenceMax { return [today, today &+ 1] }
        return [today]
    }

    /// Seconds by which the clocks of two nodes may differ.
    private static let clockDifferenceMax = 3600
}
