internal import PetalsCodec
package import PetalsCore
package import PetalsStore
internal import Synchronization

/// What a node's books of credit say, for `petalsfs credits`.
///
/// Amounts are bytes at the usual price.
package struct CreditStatus: Sendable, Codable {
    /// What the books say of one peer.
    package struct Peer: Sendable, Codable {
        package let id: String
        package let connected: Bool
        /// What it has to expect of a contended uplink: funded, overdrawn, newcomer or idle.
        package let tier: String
        /// Bytes that it gave this node, and this node checked.
        package let received: Int
        /// Bytes that this node gave it.
        package let given: Int
        /// What of that it signed for, in this set of books.
        package let signed: Int
        /// What of that it never signed for, and is given up.
        package let writtenOff: Int
        /// What this node owes it; below zero, what it owes.
        package let balance: Int
        /// What it can spend here: the balance, and as much again as it gave lately.
        package let funds: Int
        /// What came to it, and went from it, by what others passed on.
        package let assignedIn: Int
        package let assignedOut: Int
        package let violations: Int
        /// Whether it signed two different receipts under one number.
        package let contradicts: Bool
        /// Whether what it gave counts twice, as long as it keeps its word; else it has no line.
        package let trusted: Bool
        /// Seconds since 1970.
        package let lastSeen: Int
    }

    /// What went out and came in of one model.
    package struct Model: Sendable, Codable {
        /// Empty for all that no model here has.
        package let name: String
        /// Bytes.
        package let given: Int
        package let earned: Int
        /// Bytes.
        package let received: Int
        package let spent: Int
    }

    /// What was given, at what it cost, and not given up.
    package private(set) var earned = 0
    /// What was received, at what it cost.
    package private(set) var spent = 0
    /// What peers owe this node.
    package private(set) var owedToThis = 0
    /// What this node owes peers.
    package private(set) var owedByThis = 0
    /// Whether more is wanted of this node, by more than one peer, than it may send.
    package let contended: Bool
    /// Those with which most passed first, `peersShown` at most.
    package private(set) var peers: [Peer] = []
    /// Those of which most passed first.
    package private(set) var models: [Model] = []

    /// Peers that are shown.
    private static let peersShown = 1000

    /// What books say.
    ///
    /// - Parameters:
    ///   - sums: what went out and came in of each blob; several of one blob are added.
    ///   - names: models by their blobs.
    init(
        _ ledger: CreditLedger, connected: Set<PeerID>, contended: Bool, sums: [CreditBlobRow],
        names: [BlobID: String], at seconds: Int
    ) {
        self.contended = contended
        let accounts = ledger.accounts.keys.compactMap { ledger.account(of: $0, at: seconds) }
        for account in accounts {
            earned += (account.given - account.writtenOff).bytesAtBasePrice
            spent += account.received.bytesAtBasePrice
            owedByThis += max(0, account.balance.bytesAtBasePrice)
            owedToThis += max(0, -account.balance.bytesAtBasePrice)
        }
        let shown = accounts.sorted {
            ($1.received + $1.given, $0.peer) < ($0.received + $0.given, $1.peer)
        }
        peers = shown.prefix(Self.peersShown).map { account in
            Peer(
                id: Base32.encode(account.peer.bytes),
                connected: connected.contains(account.peer),
                tier: "\(ledger.standing(of: account.peer, at: seconds).tier)",
                received: account.receivedBytes, given: account.givenBytes,
                signed: account.signed.bytesAtBasePrice,
                writtenOff: account.writtenOff.bytesAtBasePrice,
                balance: account.balance.bytesAtBasePrice,
                funds: ledger.funds(of: account.peer, at: seconds).bytesAtBasePrice,
                assignedIn: account.assignedIn.bytesAtBasePrice,
                assignedOut: account.assignedOut.bytesAtBasePrice,
                violations: account.violations, contradicts: account.hasEquivocated,
                trusted: ledger.isTrusted(account, at: seconds),
                lastSeen: account.lastSeen)
        }
        models = Self.models(sums, names: names)
    }

    private static func models(
        _ sums: [CreditBlobRow], names: [BlobID: String]
    ) -> [Model] {
        var rows: [String: CreditBlobRow] = [:]
        for sum in sums {
            let name = names[sum.blob] ?? ""
            rows[name, default: CreditBlobRow(blob: sum.blob)].add(sum)
        }
        return rows.map { name, row in
            Model(
                name: name, given: row.givenBytes, earned: row.given.bytesAtBasePrice,
                received: row.receivedBytes, spent: row.received.bytesAtBasePrice)
        }.sorted { ($1.earned + $1.spent, $0.name) < ($0.earned + $0.spent, $1.name) }
    }

    /// What the books in a registry say, of a node that does not run.
    ///
    /// - Parameter own: the peer id of the registry's node.
    package static func kept(
        in registry: Registry, of own: PeerID, names: [BlobID: String], at seconds: Int
    ) throws(PetalsError) -> CreditStatus {
        let books = try registry.openCredit(now: seconds)
        var accounts: [CreditAccount] = []
        for row in books.rows { accounts.append(try CreditAccount(encoded: row.account)) }
        let ledger = CreditLedger(own: own, epoch: books.epoch, accounts: accounts, entries: [])
        return CreditStatus(
            ledger, connected: [], contended: false, sums: try registry.creditBlobs(),
            names: names, at: seconds)
    }
}

extension Node {
    /// What this node's books of credit say.
    ///
    /// - Parameter names: the models of this node by their blobs.
    package func creditStatus(names: [BlobID: String]) throws(PetalsError) -> CreditStatus {
        try credit.status(names: names)
    }
}

extension CreditKeeper {
    /// What the books say, with what passed until now.
    fileprivate func status(names: [BlobID: String]) throws(PetalsError) -> CreditStatus {
        let (now, seconds) = (MonotonicClock.now, time())
        // With what is not written yet.
        let unkept = blobs.withLock { Array($0.values) }
        let sums = try registry.creditBlobs() + unkept
        let (ledger, connected) = change { state in
            for id in state.meetings.keys { state.enter(id, now: now, at: seconds) }
            return (state.ledger, Set(state.meetings.values.map(\.connection.peerID)))
        }
        return CreditStatus(
            ledger, connected: connected, contended: isContended, sums: sums, names: names,
            at: seconds)
    }
}
