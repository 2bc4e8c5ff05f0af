//
// Credit: what peers owe each other, and who is served first because of it.
//
// Each node keeps its own books, and believes nothing in them that it did not receive itself or
// that the one who pays for it has not signed. There is no coin and no common account: credit is
// only ever what the node that received bytes owes the node that sent them. Every transfer takes
// from one side what it gives to the other, so however many names somebody takes, and whatever they
// sign to each other, nobody else's books change.
//
//   CreditLedger    one node's books: what was given and taken, receipts, assignments, forgetting
//   CreditEntry     one line of the journal; the ledger changes by these and by nothing else
//   CreditAccount   what the books say of one peer
//   CreditMeter     what passes on one connection: reserved, posted or voided without a lock
//   CreditTally     what of a meter is in the books
//   RiskWindow      what may be on its way to a peer without a receipt
//   CreditStanding  what the sender needs to know of a peer: its tier, its weight, its funds
//   RarityBook      who has a shard, by what this node verified, and so what it pays for it
//   DemandBook      who paid for what lately, and so what replication of it may cost
//
// The walk of a cell that this node sends. The meter of the connection reserves its price in the
// room that the books gave it, so that parallel streams cannot overdraw; it posts it when the bytes
// leave, or voids it when they do not. `post` turns what was posted into a debt of the peer's, and
// `room` says what may follow. The peer checks the leaves and signs for the sum of all that it ever
// had of us; `take` counts the receipt, and the window grows. A receipt that is late stops the
// peer, one that never comes closes the connection, and the loss is booked.
//
// The walk of a cell that comes. `received` counts what was verified; `dueReceipt` says what to
// sign. Nothing is owed for bytes that were wrong.
//
// What a peer can spend is its balance and its line: as much again as it gave this node itself
// lately. With the balance alone, two nodes that give each other the same would hover around zero
// and be strangers; with contributions alone, one gift would be returned for ever.
//
// Time comes from outside twice: seconds since 1970 for what lasts, and an `Instant` for what is
// late. Randomness, locks, signatures and the disk are elsewhere. What was sent and not receipted
// is all that a crash can lose: signatures bring back the rest when peers meet again.
//
package import PetalsCore

/// One node's own books.
package struct CreditLedger: Sendable {
    /// How fast what is forgotten.
    struct Decays: Hashable, Sendable {
        let balance: Decay
        let gross: Decay
        let loss: Decay
    }

    /// What the shell is to do.
    package enum Action: Hashable, Sendable {
        /// Send the peer nothing until it signs.
        case stop(PeerID)
        /// Close the connection: receipts stopped coming, and the loss is booked.
        case close(PeerID)
    }

    package let own: PeerID
    /// In which this node counts what it gives; another one for each new set of books.
    package let epoch: UInt32
    package let rules: CreditRules
    let decays: Decays

    package internal(set) var accounts: [PeerID: CreditAccount] = [:]
    /// Sums of the columns of all accounts, kept apart from them: the other side of each entry.
    var totals = CreditTotals()
    /// Of connected peers.
    var windows: [PeerID: RiskWindow] = [:]
    /// Receipts that this node makes.
    var signing: [PeerID: Signing] = [:]
    /// This node's own assignments that were not answered.
    var offers: [Offer: (beneficiary: PeerID, mills: Mills, expiry: Int)] = [:]
    /// Assignments of each peer in the last minute.
    var assignmentTimes: [PeerID: [Int]] = [:]
    /// Entries that the shell has not fetched.
    private var journal: [CreditEntry] = []
    private var hasUrgent = false

    /// What this node's newest receipt to a peer said.
    struct Signing {
        var epoch: UInt32
        var sequence: Int
        var signed = Mills.zero
        /// Since when something that came is in no receipt.
        var since: Instant?
    }

    /// An assignment of this node's, as the reply names it.
    struct Offer: Hashable {
        let debtor: PeerID
        let serial: Int
    }

    /// Makes empty books.
    ///
    /// - Parameter epoch: one higher than that of any earlier books of the same identity, such as
    ///   the day on which they are begun.
    package init(own: PeerID, epoch: UInt32, rules: CreditRules = .init()) {
        self.own = own
        self.epoch = epoch
        self.rules = rules
        decays = Decays(
            balance: Decay(halfLifeHours: rules.balanceHours),
            gross: Decay(halfLifeHours: rules.grossHours),
            loss: Decay(halfLifeHours: rules.lossHours))
    }

    /// Takes up books where they were left: accounts as they were kept, and the lines since.
    package init(
        own: PeerID, epoch: UInt32, rules: CreditRules = .init(),
        accounts: some Sequence<CreditAccount>, entries: some Sequence<CreditEntry>
    ) {
        self.init(own: own, epoch: epoch, rules: rules)
        for account in accounts {
            close(account.peer)
            totals.add(account)
            self.accounts[account.peer] = account
        }
        for entry in entries { apply(entry) }
    }

    // MARK: The journal

    /// Whether an entry waits that has to be on the disk before anything else leaves this node.
    package var hasUrgentEntries: Bool { hasUrgent }

    /// The entries since the last time, in order, for the shell to write.
    package mutating func takeEntries() -> [CreditEntry] {
        defer {
            journal.removeAll(keepingCapacity: true)
            hasUrgent = false
        }
        return journal
    }

    /// Writes a line, and then does what it says.
    mutating func enter(_ peer: PeerID, at seconds: Int, _ change: CreditEntry.Change) {
        if accounts[peer] == nil, change != .evicted {
            makeRoom(besides: [peer], at: seconds)
            if case .met = change {} else { enter(peer, at: seconds, .met(group: "")) }
        }
        let entry = CreditEntry(peer, at: seconds, change)
        journal.append(entry)
        hasUrgent = hasUrgent || entry.isUrgent
        apply(entry)
    }

    // MARK: Changes of accounts

    /// Changes an account where it lies, having let time pass; opens it where there is none.
    mutating func change(
        _ peer: PeerID, at seconds: Int, _ body: (inout CreditAccount) -> Void
    ) {
        var account = accounts[peer] ?? CreditAccount(peer, group: "", at: seconds)
        // Taken out, so that it is changed where it lies and not copied.
        accounts[peer] = nil
        totals.remove(account)
        account.pass(to: seconds, decays)
        body(&account)
        totals.add(account)
        accounts[peer] = account
    }

    mutating func change(_ entry: CreditEntry, _ body: (inout CreditAccount) -> Void) {
        change(entry.peer, at: entry.at, body)
    }

    mutating func close(_ peer: PeerID) {
        guard let account = accounts.removeValue(forKey: peer) else { return }
        totals.remove(account)
        windows[peer] = nil
        signing[peer] = nil
        assignmentTimes[peer] = nil
    }

    // MARK: What peers have

    /// The account of a peer as it is now; nil where it is not known.
    package func account(of peer: PeerID, at seconds: Int) -> CreditAccount? {
        guard var account = accounts[peer] else { return nil }
        account.pass(to: seconds, decays)
        return account
    }

    /// As much again as the peer gave this node lately, unless it broke its word.
    package func line(of account: CreditAccount, at seconds: Int) -> Mills {
        isTrusted(account, at: seconds) ? min(account.gross, rules.lineMax) : .zero
    }

    /// Whether a peer has kept its word, as far as that still counts.
    package func isTrusted(_ account: CreditAccount, at seconds: Int) -> Bool {
        let isViolator =
            account.violations > rules.violationsForgiven
            && seconds - account.violationAt < rules.violationSeconds
        return !account.isInDefault && !account.hasEquivocated && !isViolator
    }

    /// What a peer can still be given for what it gave: balance and line, less what is promised.
    package func funds(of peer: PeerID, at seconds: Int) -> Mills {
        guard let account = account(of: peer, at: seconds) else { return .zero }
        return funds(of: account, at: seconds)
    }

    func funds(of account: CreditAccount, at seconds: Int) -> Mills {
        let reserved = windows[account.peer]?.reserved ?? .zero
        return account.balance - reserved + line(of: account, at: seconds)
    }

    /// What the sender needs to know of a peer.
    package func standing(of peer: PeerID, at seconds: Int) -> CreditStanding {
        guard let account = account(of: peer, at: seconds) else { return .stranger(group: "") }
        let funds = self.funds(of: account, at: seconds)
        if funds > .zero {
            let weight = account.gross + max(account.balance, .zero)
            return CreditStanding(
                tier: .funded, weight: max(weight, Mills(1)), funds: funds, group: account.group)
        }
        let reserved = windows[peer]?.reserved ?? .zero
        let isIndebted = account.balance - reserved < -rules.debtMax
        let hasGiven = line(of: account, at: seconds) >= rules.dust
        return CreditStanding(
            tier: isIndebted ? .idle : hasGiven ? .overdrawn : .newcomer,
            weight: hasGiven ? account.gross : Mills(1), funds: .zero, group: account.group)
    }
}
