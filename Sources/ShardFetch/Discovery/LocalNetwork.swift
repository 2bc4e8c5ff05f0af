internal import Glibc
internal import Logging
internal import NIOCore
internal import NIOPosix
package import PetalsCore
internal import Synchronization

/// Meets peers in the local network: by multicast on every interface, without any server.
///
/// Each interface has a socket of its own, which hears and speaks there and nowhere else, so that
/// no route is needed and none is taken. Nothing is ever sent to the sender of what was heard.
///
/// IPv4 only: what has IPv6 alone is met by the other sources.
package final class LocalNetwork: PeerSource {
    /// Where announcements go.
    package struct Place: Hashable, Sendable {
        /// A group of the administratively scoped block (RFC 2365), which routers do not let out.
        package var group = "239.80.69.84"
        package var port = 7410
        /// The one interface to use; nil for all.
        package var interface: String?

        package init() {}
    }

    /// Seconds between two looks at which interfaces there are.
    static let interfacesSeconds: Instant = 15

    private struct State {
        var schedule: LocalSchedule
        var channels: [String: any Channel] = [:]
        var found: (@Sendable ([PeerHint]) -> Void)?
        var listenPort: UInt16 = 0
        /// Numbers of own announcements, which multicast brings back.
        var ownNonces: [[UInt8]] = []
        var timer: Scheduled<Void>?
        var timerAt: Instant = .infinity
        var interfacesAt: Instant = -.infinity
        var isRunning = false
    }

    private let state: Mutex<State>
    private let loop: any EventLoop
    private let pool: NIOThreadPool
    private let place: Place
    private let listening: IPAddress?
    private let logger: Logger

    /// - Parameters:
    ///   - listening: the one address that this node listens on, whose interface alone is then
    ///     used; nil where it listens on all.
    init(
        group: any EventLoopGroup, pool: NIOThreadPool, listening: IPAddress?,
        place: Place = .init(), logger: Logger
    ) {
        loop = group.next()
        self.pool = pool
        self.listening = listening
        self.place = place
        self.logger = logger
        state = Mutex(State(schedule: LocalSchedule(now: MonotonicClock.now)))
    }

    // MARK: PeerSource

    /// Opens a socket on every interface; one that appears later is opened then.
    package func start(
        listenPort: Int, found: @escaping @Sendable ([PeerHint]) -> Void
    ) async throws(PetalsError) {
        state.withLock { state in
            state.isRunning = true
            state.listenPort = UInt16(clamping: listenPort)
            state.found = found
        }
        await openInterfaces()
        if state.withLock({ $0.channels.isEmpty }) {
            logger.notice("no interface takes multicast; peers of the local network are not found")
        }
        arm()
    }

    /// Announces within a fifth of a second, and then in turn.
    package func announce(_ topic: Topic) {
        state.withLock { state in
            // Nobody can be sent where nobody listens.
            guard state.listenPort > 0 else { return }
            var generator = SystemRandomNumberGenerator()
            state.schedule.announce(topic, now: MonotonicClock.now, using: &generator)
        }
        arm()
    }

    /// Announces no more.
    package func withdraw(_ topic: Topic) {
        state.withLock { $0.schedule.withdraw(topic) }
    }

    /// Says at once that this node looks for the topic.
    package func find(_ topic: Topic) {
        state.withLock { $0.schedule.find(topic, now: MonotonicClock.now) }
        arm()
    }

    /// Closes all sockets.
    package func stop() async {
        let channels = state.withLock { state in
            state.isRunning = false
            state.found = nil
            state.timer?.cancel()
            state.timer = nil
            defer { state.channels = [:] }
            return Array(state.channels.values)
        }
        // A socket that is closed already has nothing left to say.
        for channel in channels { try? await channel.close().get() }
    }

    // MARK: Interfaces

    /// Opens sockets on new interfaces and closes those of interfaces that are gone.
    private func openInterfaces() async {
        let devices: [NIONetworkDevice]
        do {
            devices = try System.enumerateDevices()
        } catch {
            return logger.debug("the interfaces cannot be listed: \(error)")
        }
        let usable = Dictionary(
            devices.compactMap { device in
                Self.address(of: device, listening: listening, place: place).map {
                    ("\(device.name) \($0)", device)
                }
            }, uniquingKeysWith: { first, _ in first })
        let (gone, known) = state.withLock { state in
            state.interfacesAt = MonotonicClock.now
            let gone = state.channels.filter { usable[$0.key] == nil || !$0.value.isActive }
            for key in gone.keys { state.channels[key] = nil }
            return (gone.values, Set(state.channels.keys))
        }
        for channel in gone { channel.close(promise: nil) }
        for (key, device) in usable where !known.contains(key) {
            do {
                let channel = try await open(device)
                let isKept = state.withLock { state in
                    if state.isRunning { state.channels[key] = channel }
                    return state.isRunning
                }
                if !isKept { channel.close(promise: nil) }
            } catch {
                logger.debug("no multicast on \(device.name): \(error)")
            }
        }
    }

    /// The address by which an interface is used; nil where it is not.
    private static func address(
        of device: NIONetworkDevice, listening: IPAddress?, place: Place
    ) -> IPAddress? {
        guard let socket = device.address, let address = IPAddress(socket),
            address.bytes.count == 4,
            device.multicastSupported || address.scope == .loopback,
            place.interface == nil || place.interface == device.name,
            listening == nil || listening == address
                || (address.scope == .loopback && listening?.scope == .loopback)
        else { return nil }
        return address
    }

    private func open(_ device: NIONetworkDevice) async throws -> any Channel {
        let group = try SocketAddress(ipAddress: place.group, port: place.port)
        guard let own = device.address.flatMap(IPAddress.init), own.bytes.count == 4,
            let groupAddress = IPAddress(group)
        else { throw PetalsError(.system, "\(device.name) has no IPv4 address") }
        // A `struct ip_mreq` (ip(7)), which both options take: the group and the address of the
        // interface.
        let membership = (groupAddress.bytes + own.bytes).enumerated().reduce(0) {
            $0 | Int($1.element) << (8 * $1.offset)
        }
        // A datagram goes one hop unless told otherwise: the group is for this network alone.
        return try await DatagramBootstrap(group: loop)
            // Several nodes of one machine hear the same group.
            .channelOption(.socketOption(.so_reuseaddr), value: 1)
            // Without this a socket hears what others have joined elsewhere.
            .channelOption(Self.ipOption(IP_MULTICAST_ALL), value: 0)
            .channelOption(Self.ipOption(IP_MULTICAST_IF), value: membership)
            // Not NIO's own way to join, which refuses the loopback interface: that takes multicast
            // and does not say so.
            .channelOption(Self.ipOption(IP_ADD_MEMBERSHIP), value: membership)
            .channelOption(
                .recvAllocator,
                value: FixedSizeRecvByteBufferAllocator(capacity: 2 * LocalAnnouncement.bytesMax)
            )
            .channelInitializer { [self] channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(
                        AnnouncementHandler { [weak self] in self?.receive($0, from: $1) })
                }
            }
            .bind(to: group).get()
    }

    private static func ipOption(_ number: Int32) -> ChannelOptions.Types.SocketOption {
        ChannelOptions.Types.SocketOption(
            level: .ip, name: NIOBSDSocket.Option(rawValue: number))
    }

    // MARK: Speaking

    /// Sets the timer to the next thing that is due.
    private func arm() {
        state.withLock { state in
            guard state.isRunning else { return }
            let now = MonotonicClock.now
            let at = min(state.schedule.nextAt, state.interfacesAt + Self.interfacesSeconds)
            guard at < state.timerAt else { return }
            state.timer?.cancel()
            state.timerAt = at
            let delay = TimeAmount.nanoseconds(Int64(max(0, at - now) * 1e9))
            state.timer = loop.scheduleTask(in: delay) { [weak self] in
                self?.submit { $0.speak() }
            }
        }
    }

    /// Sends what is due; on the pool.
    private func speak() {
        let now = MonotonicClock.now
        let (packets, channels, looksAgain) = state.withLock { state in
            guard state.isRunning else { return ([[UInt8]](), [any Channel](), false) }
            var generator = SystemRandomNumberGenerator()
            state.timerAt = .infinity
            let packets = state.schedule.due(now: now, using: &generator).map { message in
                let nonce = (0..<LocalAnnouncement.nonceBytes).map { _ in
                    UInt8.random(in: .min ... .max, using: &generator)
                }
                if state.ownNonces.count >= 64 { state.ownNonces.removeFirst() }
                state.ownNonces.append(nonce)
                return LocalAnnouncement(
                    topics: message.topics, port: message.isLooking ? 0 : state.listenPort,
                    isLooking: message.isLooking, nonce: nonce
                ).bytes
            }
            let looksAgain = now >= state.interfacesAt + Self.interfacesSeconds
            if looksAgain { state.interfacesAt = now }
            return (packets, Array(state.channels.values), looksAgain)
        }
        send(packets, on: channels)
        if looksAgain { Task { await openInterfaces() } }
        arm()
    }

    private func send(_ packets: [[UInt8]], on channels: [any Channel]) {
        // The group's address was read before, when the sockets were opened.
        guard let group = try? SocketAddress(ipAddress: place.group, port: place.port) else {
            return
        }
        for packet in packets {
            for channel in channels {
                let envelope = AddressedEnvelope(
                    remoteAddress: group, data: ByteBuffer(bytes: packet))
                channel.writeAndFlush(envelope).whenFailure { [logger] error in
                    // An interface that is down now may be up in five seconds.
                    logger.trace("an announcement was not sent: \(error)")
                }
            }
        }
    }

    // MARK: Hearing

    /// Takes a datagram; on the event loop.
    private func receive(_ bytes: [UInt8], from sender: SocketAddress) {
        guard let address = IPAddress(sender), let announcement = LocalAnnouncement(bytes) else {
            return
        }
        let isAdmitted = state.withLock { state in
            state.isRunning && !state.ownNonces.contains(announcement.nonce)
                && state.schedule.admit(from: address, now: MonotonicClock.now)
        }
        guard isAdmitted else { return }
        submit { $0.hear(announcement, from: address) }
    }

    /// Runs work that hashes on the pool.
    private func submit(_ work: @escaping @Sendable (LocalNetwork) -> Void) {
        pool.submit { [weak self] poolState in
            guard case .active = poolState, let self else { return }
            work(self)
        }
    }

    /// Finds out what an announcement is about; on the pool.
    private func hear(_ announcement: LocalAnnouncement, from sender: IPAddress) {
        let now = MonotonicClock.now
        let candidates = state.withLock {
            $0.schedule.topicsOfInterest(isLooking: announcement.isLooking, now: now)
        }
        let topics = announcement.named(of: candidates)
        guard !topics.isEmpty else { return }
        if announcement.isLooking {
            state.withLock { state in
                var generator = SystemRandomNumberGenerator()
                state.schedule.asked(for: topics, now: now, using: &generator)
            }
            return arm()
        }
        guard announcement.port > 0 else { return }
        let endpoint = SocketEndpoint(sender, port: Int(announcement.port))
        let found = state.withLock { $0.found }
        found?(topics.map { PeerHint(topic: $0, endpoint: endpoint) })
    }
}

/// Hands datagrams on.
private final class AnnouncementHandler: ChannelInboundHandler {
    typealias InboundIn = AddressedEnvelope<ByteBuffer>

    private let receive: @Sendable ([UInt8], SocketAddress) -> Void

    init(receive: @escaping @Sendable ([UInt8], SocketAddress) -> Void) {
        self.receive = receive
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let envelope = unwrapInboundIn(data)
        guard envelope.data.readableBytes <= LocalAnnouncement.bytesMax else { return }
        receive(Array(envelope.data.readableBytesView), envelope.remoteAddress)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // What one datagram brought about is no reason to hear no more of them.
    }
}
