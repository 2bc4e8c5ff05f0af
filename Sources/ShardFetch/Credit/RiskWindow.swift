internal import PetalsCore

/// What may be on its way to a connected peer without a receipt, and since when it is.
///
/// Not in the journal: with the connection it is gone, and whoever comes again begins again.
struct RiskWindow {
    /// What was sent up to a moment, in all.
    private struct Mark {
        var given: Mills
        let at: Instant
    }

    /// Whether something is sent.
    enum State: Hashable {
        case open
        /// A receipt is late.
        case stopped
        /// It never came: the loss is booked, and the connection is to be closed.
        case closed
    }

    /// Marks that are kept: those of one window, in eighths.
    private static let marksMax = 64

    private(set) var size: Mills
    private(set) var state = State.open
    /// Promised to requests that are being read.
    var reserved = Mills.zero
    private var marks: [Mark] = []
    private var advancedAt: Instant
    /// From sending to the receipt, at its shortest, and mills a second.
    private var delayMin = Instant.infinity
    private var rate = 0.0
    /// What the peer had signed for when the window grew last.
    private var grownAt: Mills

    init(size: Mills, signed: Mills, now: Instant) {
        self.size = size
        grownAt = signed
        advancedAt = now
    }

    /// How large the window may become, by what the line carries: twice what is under way when
    /// receipts come as fast as they do.
    ///
    /// On a quick line that is little, and its receipts would cost more than what is at risk: their
    /// way counts as at least `delayLeast` long.
    func ceiling(_ rules: CreditRules) -> Mills {
        guard delayMin < .infinity else { return rules.windowProven }
        let underWay = rate * max(delayMin, rules.delayLeast)
        let carried = Mills(Int64(exactly: (2 * underWay).rounded()) ?? 0)
        return min(max(carried, rules.windowProven), rules.windowMax)
    }

    /// Something was sent: so much in all.
    mutating func sent(_ given: Mills, step: Mills, now: Instant) {
        if marks.isEmpty { advancedAt = max(advancedAt, now) }
        if let last = marks.last, marks.count > 1,
            marks.count == Self.marksMax || given - marks[marks.count - 2].given <= step
        {
            marks[marks.count - 1] = Mark(given: given, at: last.at)
        } else {
            marks.append(Mark(given: given, at: now))
        }
    }

    /// A receipt came over so much in all.
    ///
    /// - Returns: whether it was on time and over enough for the window to grow.
    mutating func receipted(
        _ signed: Mills, more: Mills, now: Instant, rules: CreditRules
    ) -> Bool {
        let covered = marks.prefix { $0.given <= signed }.last
        marks.removeAll { $0.given <= signed }
        if more > .zero {
            let seconds = max(now - advancedAt, 1e-4)
            let sample = Double(more.rawValue) / seconds
            rate += (sample - rate) / 4
            advancedAt = now
            if state == .stopped { state = .open }
        }
        if let covered { delayMin = min(delayMin, max(0, now - covered.at)) }
        let isOnTime = (covered.map { now - $0.at } ?? 0) <= rules.receiptSeconds + delayMin
        // Tiny receipts prove nothing: each step takes a quarter of what it is a step from.
        guard isOnTime, state == .open, signed - grownAt >= size.divided(by: 4) else {
            return false
        }
        grownAt = signed
        return true
    }

    mutating func grow(to most: Mills) {
        let larger = Mills(size.rawValue + size.rawValue / 2)
        size = max(size, min(larger, most))
    }

    /// Seconds for which a receipt has been due; below zero where none is.
    func overdue(now: Instant, rules: CreditRules) -> Instant {
        guard let oldest = marks.first else { return -.infinity }
        return now - max(oldest.at, advancedAt) - rules.receiptSeconds
    }

    /// Whether anything changed.
    mutating func look(now: Instant, rules: CreditRules) -> Bool {
        let overdue = overdue(now: now, rules: rules)
        let next: State =
            switch state {
            case .closed: .closed
            case _ where overdue >= rules.lostSeconds: .closed
            case _ where overdue >= rules.lateSeconds: .stopped
            case .stopped: .stopped
            case .open: .open
            }
        guard next != state else { return false }
        state = next
        return true
    }
}
