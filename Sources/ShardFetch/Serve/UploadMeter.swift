/// How fast something was sent lately: over the last seconds, from a counter that only grows.
struct UploadMeter {
    /// Seconds that are looked back.
    static let seconds: Instant = 5

    private var samples: [(at: Instant, bytes: Int)] = []

    /// Notes the counter; to be called about once a second.
    ///
    /// - Returns: what was sent since the last time, and in how many seconds; nil the first time.
    mutating func note(_ bytes: Int, now: Instant) -> (bytes: Int, seconds: Instant)? {
        let last = samples.last
        samples.append((now, bytes))
        while samples.count > 2, samples[1].at <= now - Self.seconds { samples.removeFirst() }
        return last.map { (bytes - $0.bytes, now - $0.at) }
    }

    /// Bytes a second.
    var rate: Int {
        guard let first = samples.first, let last = samples.last, last.at > first.at else {
            return 0
        }
        return Int(Double(last.bytes - first.bytes) / (last.at - first.at))
    }
}
