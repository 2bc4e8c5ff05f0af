package import ShardFetch

/// A time in which fewer than k columns of a model were there.
package struct Outage: Hashable, Sendable {
    package var from: Instant
    package var until: Instant

    package init(from: Instant, until: Instant) {
        self.from = from
        self.until = until
    }

    /// Seconds for which k columns have to be there before a read is served.
    ///
    /// By then whoever came back has met all others, three a second, and a cell has come. Columns
    /// that are there for less serve nobody.
    package static let servingSeconds: Instant = 20

    /// The part of reads that are served by the rule of the mount: a read of what nobody has waits
    /// until somebody comes back (S10), and fails when it has waited too long (S12).
    ///
    /// Reads begin at any moment of any model, and nothing is drawn: moments are measured. The last
    /// ones that count begin so long before the end that what became of them is known.
    ///
    /// - Parameters:
    ///   - outages: those of each model, in order.
    ///   - span: the time that is looked at.
    ///   - patience: seconds for which a read waits, `servingSeconds` or more.
    /// - Returns: nil where the span is not longer than the patience.
    package static func servedReads(
        _ outages: [[Outage]], in span: ClosedRange<Instant>, patience: Instant
    ) -> Double? {
        let last = span.upperBound - patience
        guard last > span.lowerBound, !outages.isEmpty else { return nil }
        var failing: Instant = 0
        for outage in outages.flatMap(joined) {
            // Who begins later than this is not served before the outage, and who begins earlier
            // than that gives up before it is served after it.
            let from = max(span.lowerBound, outage.from - servingSeconds)
            let until = min(last, outage.until + servingSeconds - patience)
            failing += max(0, until - from)
        }
        return 1 - failing / ((last - span.lowerBound) * Double(outages.count))
    }

    /// Outages of one model, those as one between which nobody is served.
    private static func joined(_ outages: [Outage]) -> [Outage] {
        var all: [Outage] = []
        for outage in outages {
            if let before = all.last, outage.from - before.until < servingSeconds {
                all[all.count - 1].until = outage.until
            } else {
                all.append(outage)
            }
        }
        return all
    }
}
