internal import Foundation
package import Logging
package import PetalsCore
internal import PetalsStore
internal import Synchronization

/// Peers by way of the Mainline DHT: who has something says so under its topic, who wants it asks.
///
/// One thread has the session (`RendezvousSession`) and does in turns what the schedule says
/// (`DHTSchedule`, pure) and what the network answers (`RecentLookups`, pure). Others only write
/// into the schedule, under a lock, and wake the thread. So no call waits for the network, and
/// `found` is called by one thread.
///
/// What the DHT says is a hint, and often wrong: by age, by accident, on purpose. Addresses that
/// cannot be of use, or that would turn this node against its own network, are dropped here
/// (`DHTConfiguration.accepts`), and what one node of the DHT says cannot push out what another
/// says (`AnswerSampler`). Whether anybody is at an address is found out by TLS.
///
/// What is given away: whoever looks at the traffic, and the nodes that are asked, see this
/// machine's address, its TCP port and topics. Topics change daily, and only readers and holders
/// know what they stand for.
package final class DistributedHashTable: PeerSource {
    let configuration: DHTConfiguration
    let logger: Logger
    let state: Mutex<State>

    enum Phase { case idle, running, stopping }

    struct State {
        var phase = Phase.idle
        /// There to be woken; it goes before the session ends.
        var session: RendezvousSession?
        var schedule: DHTSchedule
        /// Addresses of nodes that were configured by name, when they have been looked up.
        var resolved: [NumericEndpoint] = []
        var isResolving = false
        var stopping: [CheckedContinuation<Void, Never>] = []
        var status = Status()
        var items: ItemSchedule
        var itemObserver: (@Sendable (MutableItem) -> Void)?

        /// Lets the thread look at what has changed.
        func wake() { session?.wake() }
    }

    /// What the DHT is doing.
    package struct Status: Sendable {
        /// UDP addresses that are listened on.
        package var listening: [SocketEndpoint] = []
        /// Nodes that are known.
        package var nodes = 0
        /// The port that a router forwards to ours.
        package var mappedPort: Int?
    }

    /// Makes a source that does nothing before `start`.
    package init(configuration: DHTConfiguration, logger: Logger) {
        self.configuration = configuration
        self.logger = logger
        let now = MonotonicClock.now
        state = Mutex(State(schedule: DHTSchedule(now: now), items: ItemSchedule(now: now)))
    }

    /// What the DHT is doing; answers from memory.
    package var status: Status { state.withLock { $0.status } }

    // MARK: PeerSource

    /// Listens, and asks who is there.
    ///
    /// - Parameter listenPort: the TCP port at which peers reach this node; 0: none, and then
    ///   nothing is announced.
    /// - Throws: `PetalsError.badInput` or `.system` where it cannot listen, `.busy` where it runs.
    package func start(
        listenPort: Int, found: @escaping @Sendable ([PeerHint]) -> Void
    ) async throws(PetalsError) {
        guard let port = UInt16(exactly: listenPort) else {
            throw PetalsError(.badInput, "\(listenPort) is not a port; give one up to 65535")
        }
        for endpoint in configuration.listen where NumericEndpoint(endpoint) == nil {
            throw PetalsError(
                .badInput,
                "the DHT cannot listen on \(endpoint): give the address in numbers, as 0.0.0.0:0")
        }
        let isFirst = state.withLock { state in
            guard state.phase == .idle else { return false }
            state.phase = .running
            state.schedule.restart(now: MonotonicClock.now)
            state.status = Status()
            return true
        }
        guard isFirst else { throw PetalsError(.busy, "the DHT runs already; stop it first") }
        let outcome: Result<Void, PetalsError> = await withCheckedContinuation { continuation in
            let thread = Thread { [self] in
                run(port: port, found: found) { continuation.resume(returning: $0) }
            }
            thread.name = "petals-dht"
            thread.start()
        }
        try outcome.get()
    }

    /// Announces a topic, and again until `withdraw`; returns at once.
    package func announce(_ topic: Topic) {
        let hasRoom = state.withLock { state in
            defer { state.wake() }
            return state.schedule.announce(topic, now: MonotonicClock.now)
        }
        if !hasRoom {
            logger.warning(
                """
                more than \(DHTSchedule.topicsMax) topics are to be announced on the DHT; the \
                others are found by other sources only
                """)
        }
    }

    /// Announces a topic no more; what was announced is forgotten by others within the hour.
    package func withdraw(_ topic: Topic) {
        state.withLock { $0.schedule.withdraw(topic) }
    }

    /// Looks a topic up, now or as soon as it may be; returns at once.
    package func find(_ topic: Topic) {
        state.withLock {
            $0.schedule.find(topic, now: MonotonicClock.now)
            $0.wake()
        }
    }

    /// Saves the routing table and ends; returns when the thread is gone.
    package func stop() async {
        await withCheckedContinuation { continuation in
            let isOver = state.withLock { state in
                guard state.phase != .idle else { return true }
                state.phase = .stopping
                state.stopping.append(continuation)
                state.wake()
                return false
            }
            if isOver { continuation.resume() }
        }
    }
}
