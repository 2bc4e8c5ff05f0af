import NIOCore
import NIOPosix
import PetalsCodec
import PetalsCore
import PetalsTesting
import Synchronization
import Testing

@testable import ShardFetch

extension Swarms {
    /// Nodes that nobody introduces to each other.
    ///
    /// Each test has a multicast port of its own on the loopback interface, so that it meets
    /// nobody else's nodes.
    @Suite struct DiscoveryTests {
        let place: LocalNetwork.Place

        init() {
            var place = LocalNetwork.Place()
            place.port = Int.random(in: 20_000..<60_000)
            place.interface = "lo"
            self.place = place
        }

        private func options() -> LoopbackNode.Options {
            var options = LoopbackNode.Options()
            options.lan = place
            return options
        }

        private func seed(_ node: LoopbackNode, _ blob: SampleBlob) throws {
            try blob.install(in: node.store, shards: blob.shards)
        }

        // MARK: Local network

        @Test func aReaderFindsItsHolderInTheLocalNetwork() async throws {
            try await withSwarm { swarm in
                let blob = try SampleBlob(seed: 1, size: 1_000_000, dataShards: 2, groupShards: 4)
                let holder = try await swarm.start(options()) { try seed($0, blob) }
                let other = try await swarm.start(options())
                let reader = try await swarm.start(options())
                #expect(try await reader.readAll(blob.record) == blob.plain)
                let peers = reader.node.status().peers
                #expect(peers.map(\.origin) == ["lan"])
                #expect(peers.map(\.id) == [holder.node.status().peerID])
                let lan = reader.node.status().sources.first { $0.origin == "lan" }
                #expect(lan?.dialled == 1 && lan?.connected == 1)
                #expect(other.node.peerCount == 0, "who has nothing to do with it meets nobody")
            }
        }

        /// The read waits first; the holder that comes later announces itself.
        @Test func aReadThatWaitsGoesOnWhenAHolderComes() async throws {
            try await withSwarm { swarm in
                let blob = try SampleBlob(seed: 2, size: 300_000, dataShards: 2, groupShards: 4)
                let reader = try await swarm.start(options())
                let record = blob.record
                let read = Task { try await reader.readAll(record) }
                try await Task.sleep(for: .milliseconds(300))
                _ = try await swarm.start(options()) { try seed($0, blob) }
                #expect(try await read.value == blob.plain)
            }
        }

        /// What one has read, the next one finds there when the first holder is gone.
        @Test func aReaderIsFoundByTheNext() async throws {
            try await withSwarm { swarm in
                // A whole number of leaves in each cell: only whole cells are given to others.
                let blob = try SampleBlob(seed: 3, size: 327_680, dataShards: 2, groupShards: 4)
                let holder = try await swarm.start(options()) { try seed($0, blob) }
                let first = try await swarm.start(options())
                #expect(try await first.readAll(blob.record) == blob.plain)
                await swarm.stop(holder)
                let second = try await swarm.start(options())
                #expect(try await second.readAll(blob.record) == blob.plain)
            }
        }

        /// Many nodes that read the same at the same moment end with one connection to each other,
        /// and with the right bytes.
        @Test func nodesThatDialEachOtherKeepOneConnection() async throws {
            try await withSwarm { swarm in
                let blob = try SampleBlob(seed: 4, size: 2_000_000, dataShards: 2, groupShards: 4)
                _ = try await swarm.start(options()) { try seed($0, blob) }
                var readers: [LoopbackNode] = []
                for _ in 0..<3 { readers.append(try await swarm.start(options())) }
                try await withThrowingTaskGroup(of: Bool.self) { group in
                    for reader in readers {
                        group.addTask { try await reader.readAll(blob.record) == blob.plain }
                    }
                    for try await isRight in group { #expect(isRight) }
                }
                for reader in readers {
                    let ids = reader.node.status().peers.map(\.id)
                    #expect(Set(ids).count == ids.count)
                }
            }
        }

        // MARK: Peer exchange

        /// A reader that knows one peer, who has nothing: it is told of the holder that this one is
        /// connected with.
        @Test func aPeerThatHasNothingNamesOneThatHas() async throws {
            try await withSwarm { swarm in
                let blob = try SampleBlob(seed: 8, size: 300_000, dataShards: 2, groupShards: 4)
                let holder = try await swarm.start { try seed($0, blob) }
                var options = LoopbackNode.Options()
                options.exchangesPeers = true
                options.peers = [holder.endpoint]
                let between = try await swarm.start(options)
                try await between.node.warm(blob.record)
                options.peers = [between.endpoint]
                let reader = try await swarm.start(options)
                #expect(try await reader.readAll(blob.record) == blob.plain)
                let origins = reader.node.status().peers.compactMap(\.origin)
                #expect(origins.sorted() == ["exchange", "given"])
            }
        }

        // MARK: Remembered peers

        /// A reader that was given its holder once finds it again without being told, for another
        /// blob; an address that gave nothing is not remembered.
        @Test func aGoodPeerIsTriedAgainAfterARestart() async throws {
            try await withSwarm { swarm in
                let first = try SampleBlob(seed: 9, size: 300_000, dataShards: 2, groupShards: 4)
                let second = try SampleBlob(seed: 10, size: 300_000, dataShards: 2, groupShards: 4)
                let holder = try await swarm.start {
                    try seed($0, first)
                    try seed($0, second)
                }
                let idle = try await swarm.start()
                var options = LoopbackNode.Options()
                options.remembersPeers = true
                options.peers = [holder.endpoint, idle.endpoint]
                let reader = try await swarm.start(options)
                #expect(try await reader.readAll(first.record) == first.plain)
                await swarm.stop(reader)
                options.peers = []
                options.folder = reader.folder
                let again = try await swarm.start(options)
                #expect(try await again.readAll(second.record) == second.plain)
                let status = again.node.status()
                #expect(status.peers.map(\.origin) == ["remembered"])
                #expect(status.sources.first { $0.origin == "remembered" }?.known == 1)
            }
        }

        // MARK: Bad company

        /// A source that answers every lookup with a thousand addresses that nobody has, and some
        /// that lead to this machine: the holder is found in the local network all the same, and
        /// not one of the near addresses is dialled on its word.
        @Test func aPoisonedSourceHidesNobody() async throws {
            try await withSwarm { swarm in
                let blob = try SampleBlob(seed: 5, size: 300_000, dataShards: 2, groupShards: 4)
                _ = try await swarm.start(options()) { try seed($0, blob) }
                let knocks = Mutex(0)
                let trap = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
                    .childChannelInitializer { channel in
                        knocks.withLock { $0 += 1 }
                        return channel.eventLoop.makeSucceededVoidFuture()
                    }.bind(host: "127.0.0.1", port: 0).get()
                let port = trap.localAddress?.port ?? 0
                let poison = PoisonedSource(port: port)
                var options = options()
                options.listen = "0.0.0.0:0"
                options.sources = [(.dht, poison)]
                let reader = try await swarm.start(options)
                #expect(try await reader.readAll(blob.record) == blob.plain)
                #expect(poison.lookups.withLock { $0 } > 0)
                #expect(knocks.withLock { $0 } == 0)
                try await trap.close().get()
            }
        }

        /// Bytes of every kind on the group's port: the node goes on, and meets its holder.
        @Test func noiseInTheLocalNetworkIsIgnored() async throws {
            try await withSwarm { swarm in
                let blob = try SampleBlob(seed: 6, size: 300_000, dataShards: 2, groupShards: 4)
                _ = try await swarm.start(options()) { try seed($0, blob) }
                let reader = try await swarm.start(options())
                let group = try SocketAddress(ipAddress: place.group, port: place.port)
                let socket = try await DatagramBootstrap(
                    group: MultiThreadedEventLoopGroup.singleton
                ).bind(host: "127.0.0.1", port: 0).get()
                var generator = SeededGenerator(seed: 6)
                for count in 0..<200 {
                    let noise = generator.bytes(count * 8)
                    let head = count % 2 == 0 ? LocalAnnouncement.magic + [1] : []
                    // A network that does not take it is one noise less.
                    try? await socket.writeAndFlush(
                        AddressedEnvelope(
                            remoteAddress: group, data: ByteBuffer(bytes: head + noise))
                    ).get()
                }
                #expect(try await reader.readAll(blob.record) == blob.plain)
                try await socket.close().get()
            }
        }

        /// A source that cannot be used is left out with one line.
        @Test func aSourceThatCannotStartIsLeftOut() async throws {
            try await withSwarm { swarm in
                let blob = try SampleBlob(seed: 7, size: 300_000, dataShards: 2, groupShards: 4)
                _ = try await swarm.start(options()) { try seed($0, blob) }
                var options = options()
                options.sources = [(.dht, BrokenSource())]
                let reader = try await swarm.start(options)
                #expect(try await reader.readAll(blob.record) == blob.plain)
                #expect(reader.log.all.contains { $0.contains("looked for without dht") })
            }
        }
    }
}

/// Answers every lookup with addresses that lead nowhere, or to a port of this machine.
private final class PoisonedSource: PeerSource {
    let lookups = Mutex(0)
    private let port: Int
    private let found = Mutex<(@Sendable ([PeerHint]) -> Void)?>(nil)

    init(port: Int) {
        self.port = port
    }

    func start(
        listenPort: Int, found: @escaping @Sendable ([PeerHint]) -> Void
    ) async throws(PetalsError) {
        self.found.withLock { $0 = found }
    }

    func announce(_ topic: Topic) {}
    func withdraw(_ topic: Topic) {}

    func find(_ topic: Topic) {
        let seed = lookups.withLock { lookups in
            lookups += 1
            return UInt64(lookups)
        }
        var generator = SeededGenerator(seed: seed)
        let near = ["127.0.0.1", "::ffff:127.0.0.1", "::1", "localhost", "127.0.0.9", "0.0.0.0"]
        // Of a block that nobody has, as a test knocks on nobody's door.
        let far = (0..<1000).map { _ in
            "240.\(Int.random(in: 0...255, using: &generator)).1.1:9"
        }
        let texts = near.map { $0.contains(":") ? "[\($0)]:\(port)" : "\($0):\(port)" } + far
        // All of them are addresses.
        let hints = texts.compactMap { try? SocketEndpoint(parsing: $0) }
            .map { PeerHint(topic: topic, endpoint: $0) }
        found.withLock { $0 }?(hints)
    }

    func stop() async {}
}

/// A source that does not work here.
private struct BrokenSource: PeerSource {
    func start(
        listenPort: Int, found: @escaping @Sendable ([PeerHint]) -> Void
    ) async throws(PetalsError) {
        throw PetalsError(.system, "it is broken on purpose")
    }

    func announce(_ topic: Topic) {}
    func withdraw(_ topic: Topic) {}
    func find(_ topic: Topic) {}
    func stop() async {}
}
