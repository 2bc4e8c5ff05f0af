internal import PetalsCore
internal import PetalsTesting
internal import ShardFetch

/// Two nodes that give each other bytes, of which one crashes at each line of its journal in turn.
///
/// The lines that had to be on the disk are there, and of those after them any number. Then the two
/// meet again as nodes do: each shows the other's newest receipt, signs anew, and what is in no
/// receipt is given up.
struct CrashTrial {
    private(set) var crashes = 0
    /// The most that a creditor lost, as part of what was at risk.
    private(set) var lostMost = 0.0
    private(set) var overMost = Mills.zero
    private(set) var violations: [String] = []

    private struct Side {
        var ledger: CreditLedger
        /// Its connection with the other.
        var tally: CreditTally
        var journal: [CreditEntry] = []
        /// Lines that were on the disk when something that follows from them left.
        var durable = 0
        /// What it gave, and what it signed, whatever its books say.
        var given = Mills.zero
        var signed = Mills.zero

        /// Enters what the meter has counted.
        mutating func enter(now: Instant, at seconds: Int) {
            tally.enter(in: &ledger, epoch: 1, now: now, at: seconds)
        }

        /// Sends leaves, as many as the books allow.
        mutating func give(_ leaves: Int, now: Instant, at seconds: Int) -> Int {
            let granted = tally.give(
                leaves, of: &ledger, isContended: false, now: now, at: seconds)
            given += Mills(bytes: granted * Limits.leafBytes)
            return granted
        }
    }

    private let peers = [AddressBook.peerID(1), AddressBook.peerID(2)]
    private var sides: [Side]
    private var stories: [Int: Receipt] = [:]
    private var generator: SeededGenerator
    private var now = 0.0
    private var seconds: Int { CreditMarket.epoch + Int(now) }

    init(seed: UInt64) {
        generator = SeededGenerator(seed: seed)
        sides = peers.map { own in
            Side(ledger: CreditLedger(own: own, epoch: 1), tally: CreditTally(own))
        }
        for place in 0..<2 { connect(place, of: &sides) }
    }

    private func connect(_ place: Int, of sides: inout [Side]) {
        let peer = peers[1 - place]
        sides[place].ledger.met(peer, group: "", now: now, at: seconds)
        sides[place].tally = CreditTally(peer)
        sides[place].tally.meter.noteSpeaking()
    }

    mutating func run(steps: Int) {
        for _ in 0..<steps where violations.isEmpty {
            var stepped = sides
            step(&stepped)
            sides = stepped
            for place in 0..<2 {
                let side = sides[place]
                for kept in Set([
                    side.durable, (side.durable + side.journal.count) / 2, side.journal.count,
                ]) { crash(place, keeping: kept) }
            }
        }
    }

    /// One of the two gives the other something, and hears of it or not.
    private mutating func step(_ sides: inout [Side]) {
        now += 0.3
        let server = Int(generator.next() % 2)
        let client = 1 - server
        let leaves = sides[server].give(16, now: now, at: seconds)
        let bytes = leaves * Limits.leafBytes
        sides[client].tally.meter.note(received: bytes, Mills(bytes: bytes))
        // Nodes look each second at what their meters have counted.
        if generator.chance(0.3) {
            for place in 0..<2 { sides[place].enter(now: now, at: seconds) }
        }
        if leaves == 0 || generator.chance(0.7) { sign(client, to: server, of: &sides) }
        for place in 0..<2 { write(&sides[place]) }
    }

    private func write(_ side: inout Side) {
        for entry in side.ledger.takeEntries() {
            side.journal.append(entry)
            if entry.isUrgent { side.durable = side.journal.count }
        }
    }

    private mutating func sign(_ client: Int, to server: Int, of sides: inout [Side]) {
        sides[client].enter(now: now, at: seconds)
        let receipt = sides[client].ledger.dueReceipt(
            to: peers[server], quantum: 0, now: now, at: seconds)
        // Numbers are on the disk before a receipt leaves.
        write(&sides[client])
        guard let receipt, let verified = receipt.verified() else { return }
        let key = 2 * receipt.sequence + client
        if let told = stories[key], told != receipt, told.time <= receipt.time, crashes == 0 {
            violations.append("two receipts have the number \(receipt.sequence)")
        }
        stories[key] = receipt
        sides[client].signed = max(sides[client].signed, receipt.mills)
        sides[server].enter(now: now, at: seconds)
        let outcome = sides[server].ledger.take(verified, now: now, at: seconds)
        if outcome == .equivocation {
            violations.append("a node that crashed is taken for a liar")
        }
    }

    /// One crashes with so many lines on its disk, and both meet again.
    private mutating func crash(_ place: Int, keeping lines: Int) {
        crashes += 1
        let (kept, other) = (stories, 1 - place)
        defer { stories = kept }
        var sides = sides
        let windows = (0..<2).map { one in
            let size = sides[one].ledger.window(
                of: peers[1 - one], isContended: false, at: seconds)
            return max(size, CreditRules().windowStart)
        }
        sides[place].ledger = CreditLedger(
            own: peers[place], epoch: 1, accounts: [],
            entries: sides[place].journal.prefix(lines))
        // What a meter has counted is entered when its connection ends, and gone where it crashed.
        sides[other].enter(now: now, at: seconds)
        sides[other].ledger.left(peers[place], at: seconds)
        for one in 0..<2 { connect(one, of: &sides) }
        for one in 0..<2 {
            let receipt = sides[one].ledger.accounts[peers[1 - one]]?.receipt
            if let receipt,
                let shown = try? Verified(receipt, by: SimulatedSignature(peers[1 - one]))
            {
                _ = sides[1 - one].ledger.recall(shown, at: seconds)
            }
        }
        for one in 0..<2 { sign(one, to: 1 - one, of: &sides) }
        for one in 0..<2 { sides[one].ledger.settle(peers[1 - one], at: seconds) }
        for one in 0..<2 {
            let account = sides[one].ledger.accounts[peers[1 - one]]
            let claim = (account?.given ?? .zero) - (account?.writtenOff ?? .zero)
            let lost = Double((sides[one].given - claim).rawValue)
            lostMost = max(lostMost, lost / Double(windows[one].rawValue))
            overMost = max(overMost, claim - sides[1 - one].signed)
            if let fault = sides[one].ledger.check() { violations.append(fault) }
        }
    }
}
