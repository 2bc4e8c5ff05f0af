package import PetalsCore

/// How many bytes of shards a second a node may send, by the local time of day.
package struct UploadSchedule: Hashable, Sendable {
    /// A rate for a part of the day.
    package struct Span: Hashable, Sendable {
        /// Minutes since midnight; an end that is not behind the start is one of the next day.
        package let start: Int
        package let end: Int
        /// nil for no limit.
        package let rate: Int?

        /// Whether the part of the day has a minute of the day.
        func contains(_ minute: Int) -> Bool {
            start < end ? minute >= start && minute < end : minute >= start || minute < end
        }
    }

    /// Bytes a second outside of all spans; nil for no limit, 0 for nothing at all.
    package let limit: Int?
    package let spans: [Span]

    /// A node sends as much as its peers take.
    package static let unlimited = UploadSchedule(limit: nil, spans: [])

    /// The least that is paced: a leaf a second.
    ///
    /// Below that one leaf, which is sent whole, would be more than a second's share, and whoever
    /// waits for it asks elsewhere long before it comes.
    package static let leastBytesPerSecond = Limits.leafBytes
    /// The most; nothing in this machine is as fast, and sums of it stay far from overflow.
    package static let mostBytesPerSecond = 1 << 40
    /// Ranges in a time table; a person writes a handful.
    package static let spansMax = 48

    private static let minutesPerDay = 24 * 60

    private init(limit: Int?, spans: [Span]) {
        self.limit = limit
        self.spans = spans
    }

    /// Reads a limit as `1M`, `800KiB`, `0` or `none`, and a time table as
    /// `22:00-06:00=20M,06:00-22:00=1M`.
    ///
    /// - Throws: `PetalsError.badInput` with what is wrong of it.
    package init(limit: String?, times: String?) throws(PetalsError) {
        let standard = try limit.map { (text) throws(PetalsError) in
            try Self.rate(text, of: "--upload-limit")
        }
        self.limit = standard ?? nil
        var spans: [Span] = []
        let parts = (times ?? "").split(separator: ",", omittingEmptySubsequences: false)
        for part in times == nil ? [] : parts {
            let span = try Self.span(String(part))
            if let other = spans.first(where: { Self.overlap($0, span) }) {
                throw PetalsError(
                    .badInput,
                    "the ranges \(Self.text(other)) and \(Self.text(span)) of --upload-times "
                        + "overlap; give each part of the day one rate")
            }
            spans.append(span)
        }
        guard spans.count <= Self.spansMax else {
            throw PetalsError(
                .badInput, "--upload-times takes at most \(Self.spansMax) ranges; give fewer")
        }
        self.spans = spans
    }

    /// Bytes a second that may be sent at a minute of the local day; nil for no limit.
    package func rate(atMinute minute: Int) -> Int? {
        guard let span = spans.first(where: { $0.contains(minute) }) else { return limit }
        return span.rate
    }

    /// The time table as it is written; empty where there is none.
    package var times: String {
        spans.map { "\(Self.text($0))=\($0.rate.map(String.init) ?? "none")" }
            .joined(separator: ",")
    }

    // MARK: Reading

    private static func rate(_ text: String, of option: String) throws(PetalsError) -> Int? {
        if text == "none" { return nil }
        guard let rate = ByteCount(parsing: text)?.bytes, rate <= mostBytesPerSecond else {
            throw PetalsError(
                .badInput,
                "\(option) takes bytes a second, for example 1M or 800KiB, 0 for nothing at all, "
                    + "or none for no limit, not “\(text)”")
        }
        guard rate == 0 || rate >= leastBytesPerSecond else {
            throw PetalsError(
                .badInput,
                "\(text) bytes a second are too few to serve anybody; give \(option) at least "
                    + "16KiB, or 0 to send nothing")
        }
        return rate
    }

    private static func span(_ text: String) throws(PetalsError) -> Span {
        let sides = text.split(separator: "=", omittingEmptySubsequences: false)
        let range = (sides.first ?? "").split(separator: "-", omittingEmptySubsequences: false)
        guard sides.count == 2, range.count == 2, let start = minute(range[0]),
            let end = minute(range[1]), start < minutesPerDay, start != end
        else {
            throw PetalsError(
                .badInput,
                "--upload-times takes ranges of the day with a rate each, for example "
                    + "22:00-06:00=20M,06:00-22:00=1M, not “\(text)”")
        }
        return Span(
            start: start, end: end,
            rate: try rate(String(sides[1]), of: "--upload-times"))
    }

    /// Minutes since midnight of `22:00`; 24:00 is the end of the day.
    private static func minute(_ text: Substring) -> Int? {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 2, (1...2).contains(parts[0].count), parts[1].count == 2,
            parts.allSatisfy({ $0.allSatisfy { $0.isASCII && $0.isNumber } }),
            let hour = Int(parts[0]), let minute = Int(parts[1]), minute < 60,
            hour < 24 || (hour == 24 && minute == 0)
        else { return nil }
        return 60 * hour + minute
    }

    private static func overlap(_ one: Span, _ other: Span) -> Bool {
        one.contains(other.start) || other.contains(one.start)
    }

    private static func text(_ span: Span) -> String {
        func time(_ minutes: Int) -> String {
            let (hour, minute) = minutes.quotientAndRemainder(dividingBy: 60)
            return "\(hour < 10 ? "0" : "")\(hour):\(minute < 10 ? "0" : "")\(minute)"
        }
        return "\(time(span.start))-\(time(span.end))"
    }
}
