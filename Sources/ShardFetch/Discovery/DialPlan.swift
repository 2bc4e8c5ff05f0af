package import PetalsCore

/// Decides whom to dial next.
///
/// A value machine (docs/ARCHITECTURE.md, "A read"): hints of all sources, connections, and what
/// became of dials go in; `next` gives the next dial or nothing. Time and randomness are arguments.
///
/// What it holds to, whatever the sources say:
///
/// 1. At most three dials begin in any second: this node is no tool for knocking on other people's
///    doors. Only the first dial to an address that a person named does not wait and does not
///    count.
/// 2. Origins take turns. A source that is flooded with false addresses uses up its own turns, and
///    an address that another source knows has its turn within nine dials, that is three seconds.
/// 3. A source's addresses for a topic are a bounded random sample (`HintReservoir`).
/// 4. An address that failed waits, each time longer, however often it is named again.
/// 5. Addresses that are only near are not dialled on the word of somebody far (`DialRules`), and
///    never this node's own.
/// 6. Discovered connections leave room for given and incoming ones. One that never gave a verified
///    leaf goes when others wait for its place.
package struct DialPlan: Sendable {
    // MARK: Vocabulary

    /// What to do next.
    package enum Action: Hashable, Sendable {
        case dial(SocketEndpoint, PeerOrigin)
        /// End a connection that has been of no use, since others wait for its place.
        case close(PeerConnection.ID)
    }

    /// What became of a dial, when it is over.
    package enum Outcome: Hashable, Sendable {
        /// No connection: nobody there, not our protocol, or one side did not want it.
        case failed
        /// The address leads back to this node.
        case ourselves
        /// There was a connection for so many seconds.
        case ended(after: Instant)
    }

    /// How many addresses of an origin there are, for `petalsfs status`.
    package struct Count: Hashable, Sendable {
        package var known = 0
        /// Dials since the start.
        package var dialled = 0
        package var connected = 0
    }

    /// The turns of the origins: given and LAN have two thirds of all.
    static let turns: [PeerOrigin] = [
        .given, .lan, .exchange, .given, .lan, .dht, .given, .lan, .remembered,
    ]
    /// A connection that lasted this long was a good one: its address starts anew.
    static let goodSeconds: Instant = 10
    /// How long a connection may be of no use before it can lose its place.
    static let idleSecondsMax: Instant = 60
    /// Pause between dials to one far host: a list of its ports must not become a scan of it.
    static let hostPause: Instant = 5
    /// How long it is remembered that an address failed, after it may be dialled again.
    static let memorySeconds: Instant = 900
    /// Samples kept, one for each topic and origin.
    static let samplesMax = 512
    /// Addresses of which the last failure is remembered.
    static let recordsMax = 4096
    /// Addresses known to be this node's own.
    static let ownMax = 64

    // MARK: State

    struct SampleKey: Hashable {
        let origin: PeerOrigin
        /// nil: whatever is wanted, the address may have it.
        let topic: Topic?
    }

    struct Record {
        enum Stage { case idle, dialling, open }

        var failures = 0
        var notBefore: Instant = 0
        /// Where this node's own dial stands, from its begin to `ended`.
        var stage = Stage.idle
        /// Connections that lead to whoever is at the address.
        var connections: Set<PeerConnection.ID> = []

        var isIdle: Bool { stage == .idle && connections.isEmpty }
    }

    struct Connection {
        var endpoints: Set<SocketEndpoint>
        /// nil: the peer dialled.
        let origin: PeerOrigin?
        let openedAt: Instant
        var isProven = false
        var isClosing = false
    }

    /// The rules about addresses; they change with this machine's interfaces.
    package var rules = DialRules()

    var given: [SocketEndpoint] = []
    var samples: [SampleKey: HintReservoir] = [:]
    var records: [SocketEndpoint: Record] = [:]
    var connections: [PeerConnection.ID: Connection] = [:]
    var ownEndpoints: [SocketEndpoint] = []
    var interests: Set<Topic> = []
    var wanted: [Topic] = []
    /// When the last dials began; never more than `Limits.dialsPerSecondMax`.
    var recentDials: [Instant] = []
    var hostPauses: [String: Instant] = [:]
    var dialled: [PeerOrigin: Int] = [:]
    /// Dials of which neither a connection nor a failure has come yet, and how many of them are of
    /// addresses that no person named.
    var dialsUnderWay = 0
    var discoveredUnderWay = 0
    var turn = 0
    var wantedTurn = 0
    var lastPruned: Instant = -.infinity

    package init() {}

    // MARK: What is known

    /// Keeps a connection to an address that a person named, from now on.
    ///
    /// - Returns: false where it was named before, or where too many were.
    package mutating func give(_ endpoint: SocketEndpoint) -> Bool {
        guard given.count < Limits.givenPeersMax, !given.contains(endpoint) else { return false }
        if records[endpoint]?.stage == .dialling { discoveredUnderWay -= 1 }
        given.append(endpoint)
        return true
    }

    /// Whether a person named the address.
    package func isGiven(_ endpoint: SocketEndpoint) -> Bool { given.contains(endpoint) }

    /// Whether there is any address that is always dialled.
    package var hasGiven: Bool { !given.isEmpty }

    /// Says which topics matter.
    ///
    /// - Parameters:
    ///   - interests: topics of which addresses are kept; the hints of all others are dropped.
    ///   - wanted: those among them that more peers are wanted of now, in any order.
    package mutating func setTopics(interests: Set<Topic>, wanted: [Topic]) {
        if interests != self.interests {
            self.interests = interests
            samples = samples.filter { $0.key.topic.map(interests.contains) ?? true }
        }
        if wanted != self.wanted {
            self.wanted = wanted
            wantedTurn = 0
        }
    }

    /// Takes note of what a source found.
    ///
    /// - Parameter teller: the address of the peer that told of it, for peer exchange.
    package mutating func hint(
        _ hints: [PeerHint], from origin: PeerOrigin, teller: IPAddress? = nil, now: Instant,
        using generator: inout some RandomNumberGenerator
    ) {
        for hint in hints where interests.contains(hint.topic) {
            // A name would let a stranger choose what this node asks its resolver.
            guard let address = IPAddress(parsing: hint.endpoint.host) else { continue }
            add(
                address, port: hint.endpoint.port, to: SampleKey(origin: origin, topic: hint.topic),
                teller: teller, now: now, using: &generator)
        }
        prune(now: now)
    }

    /// Takes note of addresses that were good in an earlier run.
    package mutating func remember(
        _ endpoints: [SocketEndpoint], now: Instant,
        using generator: inout some RandomNumberGenerator
    ) {
        let key = SampleKey(origin: .remembered, topic: nil)
        for endpoint in endpoints {
            guard let address = IPAddress(parsing: endpoint.host) else { continue }
            add(address, port: endpoint.port, to: key, teller: nil, now: now, using: &generator)
        }
    }

    private mutating func add(
        _ address: IPAddress, port: Int, to key: SampleKey, teller: IPAddress?, now: Instant,
        using generator: inout some RandomNumberGenerator
    ) {
        guard (1...65_535).contains(port), rules.allow(address, from: key.origin, teller: teller),
            !rules.isOurs(address, port: port)
        else { return }
        // In its one spelling: an address has one record.
        let endpoint = SocketEndpoint(address, port: port)
        if let record = records[endpoint], record.failures > 0, record.notBefore > now { return }
        if samples[key] == nil { makeRoomForSample() }
        samples[key, default: HintReservoir(now: now)].add(endpoint, now: now, using: &generator)
    }

    // MARK: Connections

    /// A connection is established.
    ///
    /// - Parameters:
    ///   - target: the address that was dialled; nil where the peer dialled.
    ///   - alias: the address at which the peer says that it listens.
    package mutating func opened(
        _ id: PeerConnection.ID, target: SocketEndpoint?, origin: PeerOrigin?,
        alias: SocketEndpoint?, now: Instant
    ) {
        connections[id] = Connection(endpoints: [], origin: origin, openedAt: now)
        if let target { settle(target, .open) }
        for endpoint in [target, alias].compactMap({ $0 }) { attach(endpoint, to: id) }
    }

    /// An address leads to a peer that this node is connected with already.
    package mutating func attach(_ endpoint: SocketEndpoint, to id: PeerConnection.ID) {
        guard connections[id] != nil else { return }
        connections[id]?.endpoints.insert(endpoint)
        records[endpoint, default: Record()].connections.insert(id)
    }

    /// A connection is over.
    package mutating func closed(_ id: PeerConnection.ID) {
        guard let connection = connections.removeValue(forKey: id) else { return }
        for endpoint in connection.endpoints { records[endpoint]?.connections.remove(id) }
    }

    /// How the address of a connection was learnt; nil where the peer dialled.
    package func origin(of id: PeerConnection.ID) -> PeerOrigin? { connections[id]?.origin }

    /// A connection gave a leaf that was what it should be.
    package mutating func proved(_ id: PeerConnection.ID) {
        connections[id]?.isProven = true
    }

    /// A dial is over; its connection, if there was one, is closed.
    package mutating func ended(
        _ endpoint: SocketEndpoint, _ outcome: Outcome, now: Instant,
        using generator: inout some RandomNumberGenerator
    ) {
        settle(endpoint, .idle)
        guard var record = records[endpoint] else { return }
        switch outcome {
        case .ended(let seconds) where seconds >= Self.goodSeconds:
            record.failures = 0
            record.notBefore = now + pause(after: 0, endpoint, using: &generator)
        case .ended, .failed:
            record.notBefore = now + pause(after: record.failures, endpoint, using: &generator)
            record.failures += 1
        case .ourselves:
            if ownEndpoints.count >= Self.ownMax { ownEndpoints.removeFirst() }
            ownEndpoints.append(endpoint)
            record.failures += 1
        }
        records[endpoint] = record
        if record.failures > 0 { dropFailed(endpoint, failures: record.failures) }
    }

    /// Moves a dial on; counts it out when it is no longer under way.
    mutating func settle(_ endpoint: SocketEndpoint, _ stage: Record.Stage) {
        if records[endpoint]?.stage == .dialling {
            dialsUnderWay -= 1
            if !isGiven(endpoint) { discoveredUnderWay -= 1 }
        }
        records[endpoint]?.stage = stage
    }

    /// Seconds until an address may be dialled again, a fifth of them random so that many nodes do
    /// not return in step.
    private func pause(
        after failures: Int, _ endpoint: SocketEndpoint,
        using generator: inout some RandomNumberGenerator
    ) -> Instant {
        let isNear = samples.contains {
            $0.key.origin == .lan && $0.value.endpoints[endpoint] != nil
        }
        let (first, longest): (Instant, Instant) =
            if isGiven(endpoint) {
                // A read may be waiting for it, and a person said that it is worth asking.
                (0.25, 4)
            } else if isNear {
                // It announces itself, so it lives.
                (1, 15)
            } else {
                (5, 600)
            }
        let seconds = min(first * Double(1 << min(failures, 10)), longest)
        return seconds * (0.8 + Double.random(in: 0..<0.2, using: &generator))
    }

    /// Takes an address out of the samples when it has failed once, or three times where it
    /// announces itself.
    private mutating func dropFailed(_ endpoint: SocketEndpoint, failures: Int) {
        let isOurs = ownEndpoints.contains(endpoint)
        for key in samples.keys where isOurs || failures >= (key.origin == .lan ? 3 : 1) {
            samples[key]?.remove(endpoint)
        }
    }
}
