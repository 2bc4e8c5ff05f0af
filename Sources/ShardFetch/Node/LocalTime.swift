internal import Glibc

/// The time of day on the wall of whoever runs the node.
enum LocalTime {
    /// Minutes since midnight in the local time zone, by the system's clock.
    static var minuteOfDay: Int {
        var seconds = Glibc.time(nil)
        // SAFETY: all fields of a `tm` may be zero; both pointers are valid during the call, which
        // writes it, and what is read then are its numbers.
        return unsafe withUnsafeTemporaryAllocation(of: tm.self, capacity: 1) { parts in
            unsafe parts.initialize(repeating: tm())
            guard let start = parts.baseAddress, unsafe localtime_r(&seconds, start) != nil else {
                // A clock beyond the year 2^31 has no local time; UTC is as good as any then.
                return seconds % 86_400 / 60
            }
            return unsafe 60 * Int(start.pointee.tm_hour) + Int(start.pointee.tm_min)
        }
    }
}
