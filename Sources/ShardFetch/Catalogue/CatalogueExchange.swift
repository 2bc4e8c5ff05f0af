//
// Catalogue: how lists of models spread.
//
// What a catalogue is, and when a head counts, is said in PetalsCore/Documents/Catalogue.swift and
// decided in PetalsCodec/CatalogueSigning.swift. Here heads travel. Owner and followers of a
// catalogue meet under its topic, as holders of a blob do, and tell each other:
//
//   FollowCatalogues   each side says which catalogues it wants to hear of
//   CatalogueNews      the highest head that is known here, at once and whenever there is a higher
//   GetDocument        the log of a head, by its digest, from whoever told of it
//
// So a new entry goes from its owner to all who are connected within two round trips, and from each
// of them to those that he is connected with; nobody is asked again and again. The DHT carries the
// head as well (`CatalogueItems`), for followers that meet nobody.
//
// A head that comes is checked before anything is done for it: signature, delegation, time. Only
// one that counts more makes this node fetch, and of its log at most what the head says. What is
// accepted is on the disk before anybody is told. What is refused is said in the log and kept for
// `petalsfs catalog show`; proofs of two stories are kept in the registry, for ever.
//
// What a peer can do here: keep news back, until another tells them. Nothing else.
//
internal import Foundation
internal import Logging
internal import NIOPosix
internal import PetalsCodec
internal import PetalsCore
internal import PetalsStore
internal import Synchronization

/// Tells peers of catalogues, and hears of them.
final class CatalogueExchange: Sendable {
    /// What one peer wants to hear of, and was told.
    struct Client {
        let connection: PeerConnection
        var follows: [Topic] = []
        var told: [CatalogueID: CatalogueSigning.CheckedHead] = [:]
        /// Catalogues of which it has named an older head, which is said once.
        var lags: Set<CatalogueID> = []
    }

    struct State {
        var known: [CatalogueID: CatalogueSigning.CheckedHead?] = [:]
        var names: [CatalogueID: String] = [:]
        var topics: [Topic: CatalogueID] = [:]
        var day: UInt32?
        var clients: [PeerConnection.ID: Client] = [:]
        /// Logs that are being fetched, with others who have told of them meanwhile.
        var fetching: [Digest: [PeerConnection]] = [:]
        var refusals: [CatalogueID: [CatalogueRefusal]] = [:]
        /// Heads that the DHT has told of, and whose logs are not here.
        var expected: [CatalogueID: CatalogueHead] = [:]
        var notedAt: [CatalogueID: Instant] = [:]
        var observer: (@Sendable (CatalogueID) -> Void)?
        /// The latest delegations that owners' items in the DHT named.
        var delegations: [CatalogueID: SignedDelegation] = [:]
        var itemObserver: (@Sendable ([MutableItem], Set<ItemSchedule.Name>) -> Void)?
    }

    /// Seconds between two notes on the disk that a known head was heard of again.
    private static let noteSeconds: Instant = 60
    /// Refusals that are remembered of one catalogue.
    private static let refusalsMax = 8

    let state = Mutex(State())
    let registry: Registry
    let documents: DocumentFetcher
    let logger: Logger
    let pool: NIOThreadPool
    private let today: @Sendable () -> UInt32
    let time: @Sendable () -> Int
    private let blame: @Sendable (PeerConnection, String) -> Void

    init(
        registry: Registry, documents: DocumentFetcher, pool: NIOThreadPool, logger: Logger,
        today: @escaping @Sendable () -> UInt32, time: @escaping @Sendable () -> Int,
        blame: @escaping @Sendable (PeerConnection, String) -> Void
    ) {
        self.registry = registry
        self.documents = documents
        self.pool = pool
        self.logger = logger
        self.today = today
        self.time = time
        self.blame = blame
    }

    // MARK: What is followed

    /// Reads from the registry which catalogues there are, and tells peers what has changed.
    func reload() throws(PetalsError) {
        let rows = try registry.catalogues()
        let connections = state.withLock { state in
            let former = Set(state.known.keys)
            let before = state.known
            state.known = [:]
            for row in rows {
                // One that was accepted while the rows were read is higher than they say.
                let heard = before[row.id] ?? nil
                let isHigher = heard.map { heard in
                    row.head.map { heard.head.isNewer(than: $0.head) } ?? true
                }
                state.known[row.id] = .some(isHigher == true ? heard : row.head)
            }
            state.names = Dictionary(rows.map { ($0.id, $0.name) }, uniquingKeysWith: { a, _ in a })
            state.day = nil
            state.index(today: today())
            return former == Set(state.known.keys) ? [] : state.clients.values.map(\.connection)
        }
        for connection in connections { sayFollows(connection) }
        tellAll()
        tellItems()
    }

    /// Follows the topics of a new day; called once a second.
    func followDay() {
        let today = today()
        let connections = state.withLock { state in
            guard state.day != today else { return [PeerConnection]() }
            state.index(today: today)
            return state.clients.values.map(\.connection)
        }
        for connection in connections { sayFollows(connection) }
    }

    /// Calls `observer` with each catalogue of which a higher head was accepted.
    func observe(_ observer: @escaping @Sendable (CatalogueID) -> Void) {
        state.withLock { $0.observer = observer }
    }

    /// The catalogue whose log has this digest.
    func catalogue(withLog digest: Digest) -> CatalogueID? {
        state.withLock { state in
            state.known.first { $0.value?.head.logDigest == digest }?.key
        }
    }

    /// Catalogues, with how many connected peers want to hear of each.
    func demand() -> [Demand] {
        state.withLock { state in
            let followers = state.followers()
            return state.known.map { id, checked in
                let head = checked?.head
                let isBehind = state.expected[id].map { expected in
                    head.map { expected.isNewer(than: $0) } ?? true
                }
                return Demand(
                    id: id, peers: followers[id] ?? 0, isKnown: head != nil,
                    isBehind: isBehind ?? false)
            }
        }
    }

    /// How much a catalogue wants peers.
    struct Demand {
        let id: CatalogueID
        /// Connected peers that follow it.
        let peers: Int
        let isKnown: Bool
        /// Whether a higher head is known to exist.
        let isBehind: Bool
    }

    /// What peers did about a catalogue since the start.
    func facts(_ id: CatalogueID) -> CatalogueFacts {
        state.withLock { state in
            CatalogueFacts(
                peers: state.followers()[id] ?? 0, refusals: state.refusals[id] ?? [])
        }
    }

    // MARK: Connections

    func connectionOpened(_ connection: PeerConnection) {
        let mustSay = state.withLock { state in
            state.clients[connection.id] = Client(connection: connection)
            return !state.known.isEmpty
        }
        if mustSay { sayFollows(connection) }
    }

    func connectionClosed(_ connection: PeerConnection) {
        state.withLock { $0.clients[connection.id] = nil }
    }

    /// Handles a message about catalogues; false when it is none.
    func receive(_ message: ControlMessage, from connection: PeerConnection) -> Bool {
        switch message {
        case .followCatalogues(let topics):
            state.withLock { $0.clients[connection.id]?.follows = topics }
            tell(connection)
        case .catalogueNews(let topic, let bytes):
            guard let id = state.withLock({ $0.topics[topic] }) else { return true }
            pool.submit { [self] poolState in
                guard case .active = poolState else { return }
                hear(bytes, of: id, from: connection)
            }
        default: return false
        }
        return true
    }

    private func sayFollows(_ connection: PeerConnection) {
        let today = today()
        let topics = state.withLock { state in
            state.known.keys.sorted().map { KeyDerivation.topic(ofCatalogue: $0, day: today) }
        }
        connection.send(.followCatalogues(topics))
    }

    func tellAll() {
        for connection in state.withLock({ $0.clients.values.map(\.connection) }) {
            tell(connection)
        }
    }

    /// Tells a peer the heads that it wants to hear of and was not told.
    private func tell(_ connection: PeerConnection) {
        let news = state.withLock { state -> [ControlMessage] in
            guard var client = state.clients[connection.id] else { return [] }
            var news: [ControlMessage] = []
            for topic in client.follows {
                guard let id = state.topics[topic], let head = state.known[id] ?? nil,
                    client.told[id] != head
                else { continue }
                client.told[id] = head
                news.append(.catalogueNews(topic, head.signed.serialized()))
            }
            state.clients[connection.id] = client
            return news
        }
        connection.send(news)
    }

    // MARK: News

    /// Looks at a head that a peer, or the DHT, has told of; on the worker pool.
    func hear(_ bytes: [UInt8], of id: CatalogueID, from connection: PeerConnection?) {
        do throws(PetalsError) {
            let offered = try CatalogueSigning.check(
                try SignedHead(parsing: bytes), of: id, now: time())
            let known = state.withLock { $0.known[id] ?? nil }
            switch CatalogueSigning.judge(offered, knowing: known) {
            case .known: note(id)
            case .older: refuseOlder(offered, of: id, from: connection)
            case .equivocation:
                try keepEvidence(offered, log: nil, against: known, from: connection)
            case .newer:
                if connection == nil { state.withLock { $0.expected[id] = offered.head } }
                fetch(offered, from: connection)
            }
        } catch {
            refuse(id, error.message, from: connection)
            // Whoever is honest has checked it. What is only too early or too late, or of a later
            // version, may have been right for him.
            if error.code == .corrupt, let connection {
                blame(connection, "it tells of a catalogue's head, but \(error.message)")
            }
        }
    }

    private func note(_ id: CatalogueID) {
        let isDue = state.withLock { state in
            let now = MonotonicClock.now
            guard now - (state.notedAt[id] ?? -.infinity) >= Self.noteSeconds else { return false }
            state.notedAt[id] = now
            return true
        }
        guard isDue else { return }
        do throws(PetalsError) {
            try registry.noteHeard(id, at: time())
        } catch {
            logger.warning("that a catalogue was heard of is not noted: \(error.message)")
        }
    }

    private func refuseOlder(
        _ offered: CatalogueSigning.CheckedHead, of id: CatalogueID,
        from connection: PeerConnection?
    ) {
        let known = state.withLock { state -> CatalogueHead? in
            if let connection {
                let isNews = state.clients[connection.id]?.lags.insert(id).inserted
                guard isNews == true else { return nil }
            }
            return (state.known[id] ?? nil)?.head
        }
        guard let known else { return }
        let reason =
            offered.head.issue < known.issue
            ? "it is signed under a delegation that the owner has replaced"
            : "it has sequence \(offered.head.sequence), and \(known.sequence) is known: what was "
                + "listed is not taken back"
        // A peer that has not heard is no liar, and will hear from this node.
        refuse(id, reason, from: connection, level: .notice)
    }

    /// Says and remembers why a head was refused.
    func refuse(
        _ id: CatalogueID, _ reason: String, from connection: PeerConnection?,
        level: Logger.Level = .warning
    ) {
        let teller = connection.map { "peer \($0.peerID.label) at \($0.address)" } ?? "the DHT"
        let name = state.withLock { state in
            let refusal = CatalogueRefusal(reason: reason, teller: teller, seenAt: time())
            let former = state.refusals[id]?.suffix(Self.refusalsMax - 1) ?? []
            state.refusals[id] = former + [refusal]
            return state.names[id] ?? id.short
        }
        logger.log(
            level: level,
            """
            a head of the catalogue “\(ModelPath.printable(name))” that \(teller) gives is \
            refused: \(reason)
            """)
    }

    func keepEvidence(
        _ offered: CatalogueSigning.CheckedHead, log: [UInt8]?,
        against known: CatalogueSigning.CheckedHead?, from connection: PeerConnection?
    ) throws(PetalsError) {
        guard let known else { return }
        let id = known.head.owner
        let isNews = try registry.keepEvidence(
            known: known.signed, offered: offered.signed, log: log, seenAt: time())
        guard isNews else { return }
        refuse(
            id,
            "its signer tells two stories (sequence \(offered.head.sequence) does not agree with "
                + "the known \(known.head.sequence)); both heads are kept, ask the owner",
            from: connection)
        state.withLock { $0.observer }?(id)
    }
}

extension CatalogueExchange.State {
    /// Makes the table of topics for yesterday, today and tomorrow: clocks differ.
    fileprivate mutating func index(today: UInt32) {
        day = today
        topics = [:]
        for id in known.keys {
            for near in [today &- 1, today, today &+ 1] {
                topics[KeyDerivation.topic(ofCatalogue: id, day: near)] = id
            }
        }
    }

    /// How many clients want to hear of each catalogue.
    ///
    /// - Complexity: O(clients x catalogues).
    fileprivate func followers() -> [CatalogueID: Int] {
        var counts: [CatalogueID: Int] = [:]
        for client in clients.values {
            for id in Set(client.follows.compactMap { topics[$0] }) {
                counts[id, default: 0] += 1
            }
        }
        return counts
    }
}

/// A head that was not accepted.
package struct CatalogueRefusal: Sendable, Codable {
    /// Why, in a sentence.
    package let reason: String
    /// Who gave it.
    package let teller: String
    /// Seconds since 1970.
    package let seenAt: Int
}

/// What peers did about a catalogue since the node started.
package struct CatalogueFacts: Sendable {
    /// Connected peers that follow it too.
    package let peers: Int
    /// The latest heads that were refused.
    package let refusals: [CatalogueRefusal]
}
