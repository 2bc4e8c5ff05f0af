internal import PetalsCore
internal import ShardFetch

/// A node of a market: its own books, and its own plan of what it sends to whom.
final class MarketNode {
    /// What a node does, and does not.
    enum Manner: Hashable, Sendable {
        /// Asks and serves.
        case honest
        /// Asks as an honest one does, and serves nobody.
        case rider
        /// Asks four times as much, and serves nobody.
        case sybil
        /// The same, and takes another name after each so many bytes.
        case whitewasher(bytes: Int)
        /// Asks as a Sybil does and signs for nothing.
        case withholder
        /// Serves honestly until a moment; then it signs for nothing more.
        case turncoat(at: Instant)
        /// Serves, and never asks.
        case hoarder
        /// Asks as a Sybil does, and serves.
        case contributor

        func serves(_ now: Instant) -> Bool {
            switch self {
            case .honest, .hoarder, .turncoat, .contributor: true
            case .rider, .sybil, .whitewasher, .withholder: false
            }
        }

        func signs(_ now: Instant) -> Bool {
            switch self {
            case .withholder: false
            case .turncoat(let at): now < at
            default: true
            }
        }

        /// Whether it takes part in credit at all: of those who sign nothing, each other one does
        /// not even say that it could.
        func speaks(_ number: Int) -> Bool {
            self != .withholder || number.isMultiple(of: 2)
        }

        /// Servers that are asked at a time, as multiples of an honest node's.
        var appetite: Int {
            switch self {
            case .honest, .rider, .turncoat: 1
            case .sybil, .whitewasher, .withholder, .contributor: 4
            case .hoarder: 0
            }
        }
    }

    let number: Int
    let manner: Manner
    let group: String
    let uplink: Int
    /// Bytes a second that it wants; nil: all that it can get.
    let demandRate: Int?
    /// When it comes.
    let joinsAt: Instant
    var peer: PeerID
    var names: UInt64 = 0
    var ledger: CreditLedger
    /// Its connections, by the numbers of the others.
    var tallies: [Int: CreditTally] = [:]
    var plan: UploadPlan
    /// Who waits here, and whose window is full.
    var waiting: [UploadPlan.Waiting] = []
    var places: [Int: Int] = [:]
    var blocked: Set<Int> = []
    /// Bytes that it may still ask for now.
    var budget = 0.0
    /// Bytes since counting began.
    var uploaded = 0
    var downloaded = 0
    var downloadedBefore = 0
    /// Bytes of the present name.
    var nameBytes = 0
    /// Bytes that each server gave it in this round.
    var gains: [Int: Int] = [:]

    init(
        _ number: Int, _ manner: Manner, group: String? = nil, uplink: Int,
        demandRate: Int? = nil, joinsAt: Instant = 0
    ) {
        self.number = number
        self.manner = manner
        self.group = group ?? "10.\(number >> 8 & 255).\(number & 255)"
        self.uplink = uplink
        self.demandRate = demandRate
        self.joinsAt = joinsAt
        peer = AddressBook.peerID(number)
        ledger = CreditLedger(own: peer, epoch: 1)
        plan = UploadPlan(limit: uplink, now: 0)
    }

    /// The servers that gave it most in the last round.
    func bestServers(_ count: Int) -> [Int] {
        gains.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.prefix(count).map(\.key)
    }

    /// Takes another name: nothing is known of it, and it knows nothing.
    func rename() {
        names += 1
        nameBytes = 0
        let words = AddressBook.peerID(number).words
        peer = Digest(words: (words.0, words.1, names, 1))
        ledger = CreditLedger(own: peer, epoch: 1)
        tallies = [:]
    }

    // MARK: Books

    /// Connects with another, unless it is connected with it under its present name.
    func connect(_ other: MarketNode, now: Instant, at seconds: Int) {
        if let known = tallies[other.number] {
            guard known.peer != other.peer else { return }
            disconnect(other, now: now, at: seconds)
        }
        ledger.met(other.peer, group: other.group, now: now, at: seconds)
        ledger.settle(other.peer, at: seconds)
        let tally = CreditTally(other.peer)
        if other.manner.speaks(other.number) { tally.meter.noteSpeaking() }
        tallies[other.number] = tally
    }

    /// A connection is over.
    func disconnect(_ other: MarketNode, now: Instant, at seconds: Int) {
        enter(other.number, now: now, at: seconds)
        guard let tally = tallies.removeValue(forKey: other.number) else { return }
        ledger.left(tally.peer, at: seconds)
    }

    /// Enters what was counted on a connection.
    func enter(_ other: Int, now: Instant, at seconds: Int) {
        tallies[other]?.enter(in: &ledger, epoch: 1, now: now, at: seconds)
    }

    /// Enters what was counted on all connections, and says how much more may be sent on each.
    func look(now: Instant, at seconds: Int) -> [CreditLedger.Action] {
        for number in tallies.keys.sorted() { enter(number, now: now, at: seconds) }
        let actions = ledger.advance(now: now, at: seconds)
        for number in tallies.keys { allow(number, now: now, at: seconds) }
        _ = ledger.takeEntries()
        return actions
    }

    /// Says how much more may be sent on a connection.
    func allow(_ other: Int, now: Instant, at seconds: Int) {
        tallies[other]?.allow(
            by: ledger, isContended: plan.isContended(now: now), at: seconds)
    }
}
