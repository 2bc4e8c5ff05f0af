//
// Discovery: how nodes meet.
//
// A link names what is wanted and not who has it. Peers meet under *topics*: 20 bytes that change
// every UTC day and that only those can compute who may read or hold a thing (docs/PROTOCOL.md,
// section 2). A node announces the topics of what it has, and looks for those of what it lacks.
//
//   PeerSource       one way to do that: the local network, a DHT. All are equal, and any may be
//                    missing, poisoned or dead without the others noticing
//   DialPlan         merges what they find into one order of dials; a pure machine, and the place
//                    of all rules about whom not to dial (`DialRules`, `HintReservoir`)
//   LookupSchedule   when to look for a topic; a pure machine
//   ItemSchedule     when to store and look for items of the DHT; a pure machine
//   Discovery        the shell around them: asks the node what it has and lacks, the sources where
//                    that may be, and has the transport dial
//   ExchangeBook     what peers are told of each other; a pure machine
//   LocalNetwork     announcements by multicast; `LocalSchedule` decides, `LocalAnnouncement` is
//                    the datagram
//
// The walk of a read that nobody connected can serve: the fetch scheduler is stuck on a blob; its
// topic is looked for at once; a source hands hints over, from whatever thread; the plan takes them
// into its sample; the next turn of the loop dials. TLS, Hello, Join and Holdings follow, the
// scheduler has a holder, and the read goes on.
//
// What a source says is a hint and nothing else. It costs a dial, of which there are three a second
// at most, and is believed when a leaf from there was verified.
//
// Lost on a crash: everything but the remembered peers, and nothing that is not found again.
//
internal import Logging
internal import NIOCore
internal import PetalsCodec
internal import PetalsCore
internal import PetalsStore
internal import Synchronization

/// Announces what this node has, looks for what it lacks, and dials whom it finds.
final class Discovery: Sendable {
    /// What somebody waits for that no session asks for yet.
    enum Need: Hashable, Sendable {
        case model(ManifestID, relayKey: SecretKey)
        case blob(BlobID, relayKey: SecretKey)
        case file(sha256: Digest)
        case catalogue(CatalogueID)

        func topic(day: UInt32) -> Topic {
            switch self {
            case .model(let id, let key), .blob(let id, let key):
                KeyDerivation.topic(key, of: id, day: day)
            case .file(let sha256): KeyDerivation.topic(ofFile: sha256, day: day)
            case .catalogue(let id): KeyDerivation.topic(ofCatalogue: id, day: day)
            }
        }
    }

    struct State {
        var plan = DialPlan()
        var lookups = LookupSchedule()
        var exchange = ExchangeBook()
        /// What is waited for, and by how many.
        var needs: [Need: Int] = [:]
        /// Models whose manifest is here, with their relay keys.
        var models: [ManifestID: SecretKey] = [:]
        var announced: Set<Topic> = []
        /// Topics of blobs that are wanted and that few peers hold.
        var thin: Set<Topic> = []
        var surveyedAt: Instant = -.infinity
        var connections: [PeerConnection.ID: (connection: PeerConnection, openedAt: Instant)] = [:]
        /// Of dials that are not over.
        var dialOrigins: [SocketEndpoint: PeerOrigin] = [:]
        /// Given addresses that were said not to answer.
        var warned: Set<SocketEndpoint> = []
        var isListening = false
        /// Addresses of peers that have given verified leaves, to be written down.
        var toRemember: Set<SocketEndpoint> = []
        var remembersAt: Instant = 0
    }

    /// Seconds between two looks at what this node has, and at its interfaces.
    static let surveySeconds: Instant = 5
    /// Seconds between two times at which good peers are written down.
    static let rememberSeconds: Instant = 600
    /// Holders of a blob that are wanted where it is read.
    static let holdersWanted = 8
    /// Connected peers who would tell of a catalogue's news that are wanted.
    static let followersWanted = 4
    /// Two connections that were opened within so many seconds crossed each other.
    static let crossingSeconds: Instant = 5

    let state = Mutex(State())
    let sources: [(origin: PeerOrigin, source: any PeerSource)]
    let node: Node.Parts
    let today: @Sendable () -> UInt32
    /// Whether peers are told of each other.
    let exchanges: Bool
    /// Whether good peers are tried again after a restart.
    let remembers: Bool
    private let wakes: AsyncStream<Void>
    private let wakeUp: AsyncStream<Void>.Continuation

    init(
        sources: [(origin: PeerOrigin, source: any PeerSource)], node: Node.Parts,
        rules: DialRules, exchanges: Bool, remembers: Bool,
        today: @escaping @Sendable () -> UInt32
    ) {
        self.remembers = remembers
        self.sources = sources
        self.exchanges = exchanges
        self.today = today
        self.node = node
        (wakes, wakeUp) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
        state.withLock { $0.plan.rules = rules }
    }

    // MARK: Life

    /// Starts the sources; one that cannot be used is left out with a line in the log.
    func start(listening: SocketEndpoint?) async {
        if remembers { recall() }
        state.withLock { state in
            state.isListening = listening != nil
            state.plan.rules.listenPort = listening?.port
        }
        for (origin, source) in sources {
            do throws(PetalsError) {
                try await source.start(listenPort: listening?.port ?? 0) { [weak self] hints in
                    self?.found(hints, from: origin)
                }
            } catch {
                node.logger.warning(
                    "peers are looked for without \(origin.rawValue): \(error.message)")
            }
        }
    }

    /// Announces, looks and dials until the task is cancelled.
    func run() async {
        await withDiscardingTaskGroup { group in
            group.addTask { [self] in
                // Cancelled: the node stops.
                while (try? await Task.sleep(for: pause)) != nil { wakeUp.yield() }
            }
            for await _ in wakes {
                for (endpoint, origin) in step() {
                    group.addTask { [self] in await dial(endpoint, origin) }
                }
            }
        }
    }

    /// Ends the sources, and writes down who was a good peer.
    func stop() async {
        for (_, source) in sources { await source.stop() }
        if remembers { writeRemembered() }
    }

    /// Has the loop look soon at what is wanted.
    func wake() { wakeUp.yield() }

    /// Until the loop looks of itself.
    private var pause: Duration {
        state.withLock { $0.needs.isEmpty } ? .milliseconds(250) : .milliseconds(50)
    }

    // MARK: One turn

    /// Looks at everything once.
    ///
    /// - Returns: whom to dial.
    private func step() -> [(SocketEndpoint, PeerOrigin)] {
        let now = MonotonicClock.now
        if now - state.withLock({ $0.surveyedAt }) >= Self.surveySeconds { survey(now: now) }
        noteProven(now: now)
        exchangePeers(now: now)
        let day = today()
        let stuck = Set(node.engine.stuckSessions().map { $0.topic(day: day) })
            .union(unheardCatalogues().map { Need.catalogue($0).topic(day: day) })
        let (due, actions) = state.withLock { state -> (Set<Topic>, [DialPlan.Action]) in
            let waiting = stuck.union(state.needs.keys.map { $0.topic(day: day) })
            let due = state.lookups.due(
                waiting: waiting, thin: state.thin, hasPeers: !state.connections.isEmpty, now: now)
            let wanted = waiting.union(state.thin)
            state.plan.setTopics(
                interests: wanted.union(state.announced),
                wanted: wanted.sorted { $0.bytes.lexicographicallyPrecedes($1.bytes) })
            var generator = SystemRandomNumberGenerator()
            var actions: [DialPlan.Action] = []
            while let action = state.plan.next(now: now, using: &generator) {
                actions.append(action)
            }
            return (due, actions)
        }
        for topic in due {
            for (_, source) in sources { source.find(topic) }
        }
        return actions.compactMap(carryOut)
    }

    private func carryOut(_ action: DialPlan.Action) -> (SocketEndpoint, PeerOrigin)? {
        switch action {
        case .dial(let endpoint, let origin): return (endpoint, origin)
        case .close(let id):
            let found = state.withLock { $0.connections[id]?.connection }
            node.logger.debug("a connection that gave nothing makes room for others")
            found?.close()
            return nil
        }
    }

    /// Takes hints from a source.
    func found(_ hints: [PeerHint], from origin: PeerOrigin, teller: IPAddress? = nil) {
        state.withLock { state in
            var generator = SystemRandomNumberGenerator()
            state.plan.hint(
                hints, from: origin, teller: teller, now: MonotonicClock.now, using: &generator)
        }
        wake()
    }

    // MARK: Needs

    /// Has peers looked for while `body` waits for something of theirs.
    func looking<Value>(
        for need: Need, _ body: () async throws(PetalsError) -> Value
    ) async throws(PetalsError) -> Value {
        state.withLock { $0.needs[need, default: 0] += 1 }
        defer {
            state.withLock { state in
                let count = (state.needs[need] ?? 1) - 1
                state.needs[need] = count > 0 ? count : nil
            }
        }
        wake()
        return try await body()
    }

    /// Says which manifests this node can give; they take the place of those before.
    func offer(models: [ManifestID: SecretKey]) {
        state.withLock { state in
            state.models = models
            state.surveyedAt = -.infinity
        }
        wake()
    }

    /// Has what this node has looked at again soon.
    func surveySoon() {
        state.withLock { $0.surveyedAt = -.infinity }
        wake()
    }
}
