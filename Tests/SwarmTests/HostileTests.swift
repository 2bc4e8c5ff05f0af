import NIOCore
import PetalsCodec
import PetalsCore
import PetalsStore
import PetalsTesting
import Synchronization
import Testing

@testable import ShardFetch

extension Swarms {
    /// Peers that do not keep to the protocol: the node ends the connection, and goes on.
    @Suite(.serialized) struct HostileTests {
        static let blob = Result {
            try SampleBlob(seed: 11, size: 700_000, dataShards: 2, groupShards: 4)
        }

        private func topic() throws -> Topic {
            let blob = try Self.blob.get()
            return KeyDerivation.topic(blob.relayKey, of: blob.id, day: UTCDay.today)
        }

        /// A node that holds everything, and a raw client of it that has been greeted.
        private func withClient(
            _ body: (LoopbackNode, RawPeer) async throws -> Void
        ) async throws {
            let blob = try Self.blob.get()
            try await withSwarm { swarm in
                let node = try await swarm.start {
                    try blob.install(in: $0.store, shards: blob.shards)
                }
                let client = try await RawPeer.dial(
                    node.endpoint, identity: NodeIdentity(seed: Array(repeating: 5, count: 32)))
                let isGreeted = await eventually { !client.frames.isEmpty }
                #expect(isGreeted)
                try await body(node, client)
                client.channel.close(promise: nil)
                // Whatever that client did, another one is served.
                let reader = try await swarm.start(peers: [node])
                #expect(try await reader.readAll(blob.record) == blob.plain)
            }
        }

        @Test func aClientWithoutCertificateIsRefused() async throws {
            try await withSwarm { swarm in
                let node = try await swarm.start()
                let client = try await RawPeer.dial(node.endpoint, identity: nil)
                let isClosed = await eventually { client.isClosed }
                #expect(isClosed)
                #expect(client.frames.isEmpty, "the first bytes from the server are the proof")
                #expect(node.node.peerCount == 0)
            }
        }

        @Test func plainBytesOnThePortAreRefused() async throws {
            var generator = SeededGenerator(seed: 1)
            let requests = [
                Array("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".utf8), generator.bytes(5000),
                [0, 0, 0, 2, 0, 0], Array(repeating: 0x16, count: 300),
            ]
            try await withSwarm { swarm in
                let node = try await swarm.start()
                for request in requests {
                    try await sendGarbage(request, to: node.endpoint)
                }
                #expect(node.node.peerCount == 0)
                // The address is as good as ever.
                let friend = try await swarm.start(peers: [node])
                let isConnected = await eventually { friend.node.peerCount == 1 }
                #expect(isConnected)
            }
        }

        @Test func anAddressWhereSomethingElseAnswersDisturbsNobody() async throws {
            let blob = try Self.blob.get()
            var generator = SeededGenerator(seed: 2)
            let noise = generator.bytes(3000)
            try await withSwarm { swarm in
                var speakers: [(SocketEndpoint, any Channel)] = []
                for bytes in [noise, Array("SSH-2.0-OpenSSH_9.2\r\n".utf8), []] {
                    speakers.append(try await startGarbageSpeaker(bytes))
                }
                let node = try await swarm.start {
                    try blob.install(in: $0.store, shards: blob.shards)
                }
                var options = LoopbackNode.Options()
                options.peers = speakers.map(\.0) + [node.endpoint]
                let reader = try await swarm.start(options)
                #expect(try await reader.readAll(blob.record) == blob.plain)
                #expect(reader.node.peerCount == 1)
                for (_, listener) in speakers { try await listener.close().get() }
            }
        }

        @Test func aNodeThatDialsItselfDoesNotTalkToItself() async throws {
            try await withSwarm { swarm in
                let node = try await swarm.start()
                node.node.dial([node.endpoint])
                let isNoticed = await eventually {
                    node.log.all.contains { $0.contains("leads back to this node") }
                }
                #expect(isNoticed)
                #expect(node.node.peerCount == 0)
            }
        }

        @Test func helloTwiceEndsTheConnection() async throws {
            try await withClient { node, client in
                let isOpen = await eventually { node.node.peerCount == 1 }
                #expect(isOpen)
                client.send(RawPeer.hello)
                let isClosed = await eventually { client.isClosed }
                #expect(isClosed)
            }
        }

        @Test func aFirstMessageThatIsNotHelloEndsTheConnection() async throws {
            try await withSwarm { swarm in
                let node = try await swarm.start()
                let client = try await RawPeer.dial(
                    node.endpoint, identity: NodeIdentity(seed: Array(repeating: 5, count: 32)),
                    greets: false)
                let isGreeted = await eventually { !client.frames.isEmpty }
                #expect(isGreeted)
                client.send(.ping(1))
                let isClosed = await eventually { client.isClosed }
                #expect(isClosed)
                #expect(node.node.peerCount == 0)
            }
        }

        @Test func aPeerThatNeverGreetsIsLetGo() async throws {
            try await withSwarm { swarm in
                let node = try await swarm.start()
                let client = try await RawPeer.dial(
                    node.endpoint, identity: NodeIdentity(seed: Array(repeating: 5, count: 32)),
                    greets: false)
                let isClosed = await eventually { client.isClosed }
                #expect(isClosed)
                #expect(node.node.peerCount == 0)
            }
        }

        @Test func aFloodOfControlMessagesEndsTheConnection() async throws {
            try await withClient { _, client in
                for token in 0..<5000 as Range<UInt64> { client.send(.ping(token)) }
                let isClosed = await eventually { client.isClosed }
                #expect(isClosed)
            }
        }

        @Test func moreTopicsThanAllowedEndTheConnection() async throws {
            try await withClient { _, client in
                for number in 0..<70 as Range<UInt8> {
                    guard let topic = Topic(Array(repeating: number, count: 20)) else { return }
                    client.send(.join(topic))
                }
                let isClosed = await eventually { client.isClosed }
                #expect(isClosed)
            }
        }

        @Test func noiseAfterHelloEndsTheConnection() async throws {
            for seed in 0..<4 as Range<UInt64> {
                var generator = SeededGenerator(seed: seed)
                let noise = [0xff] + generator.bytes(1000)
                try await withClient { _, client in
                    client.send(ByteBuffer(bytes: noise))
                    let isClosed = await eventually { client.isClosed }
                    #expect(isClosed, "seed \(seed)")
                }
            }
        }

        /// A client that asks for far more than it may and reads nothing meanwhile: each request is
        /// answered or refused, once.
        @Test func requestsBeyondTheLimitAreRefused() async throws {
            let topic = try topic()
            try await withClient { _, client in
                client.send(.join(topic))
                let isTold = await eventually {
                    client.frames.contains {
                        if case .control(.holdings) = $0 { true } else { false }
                    }
                }
                #expect(isTold)
                try await client.channel.setOption(.autoRead, value: false).get()
                let count: UInt32 = 1600
                for number in 0..<count {
                    client.send(
                        .request(
                            .init(
                                request: number, topic: topic,
                                address: CellAddress(shard: ShardIndex(0), cell: CellIndex(0)),
                                leaves: 0..<1, bulk: number % 2 == 0)))
                }
                // The node has seen the last request before anything is read.
                try await client.channel.writeAndFlush(FrameEncoder.control(.ping(99))).get()
                try await Task.sleep(for: .seconds(1))
                try await client.channel.setOption(.autoRead, value: true).get()
                client.channel.read()
                let isAnswered = await eventually { Self.answers(client).count >= Int(count) }
                #expect(isAnswered)
                let answers = Self.answers(client)
                #expect(Set(answers.keys) == Set(0..<count))
                #expect(answers.values.allSatisfy { $0.count == 1 })
                let busy = answers.values.filter { $0 == ["busy"] }.count
                #expect(busy > 0 && busy < Int(count), "\(busy) of \(count) refused")
            }
        }

        private static func answers(_ client: RawPeer) -> [UInt32: [String]] {
            var answers: [UInt32: [String]] = [:]
            for frame in client.frames {
                switch frame {
                case .data(let header, _, _): answers[header.request, default: []].append("data")
                case .control(.refuse(let request, let reason)):
                    answers[request, default: []].append("\(reason)")
                default: break
                }
            }
            return answers
        }

        @Test func impossibleRequestsAreRefusedWithTheirReason() async throws {
            let topic = try topic()
            let other = try #require(Topic(Array(repeating: 9, count: 20)))
            let digest = try Self.blob.get().record.sha256
            try await withClient { _, client in
                func request(_ number: UInt32, _ topic: Topic, _ shard: Int, _ cell: Int) {
                    client.send(
                        .request(
                            .init(
                                request: number, topic: topic,
                                address: CellAddress(
                                    shard: ShardIndex(shard), cell: CellIndex(cell)),
                                leaves: 0..<16, bulk: false)))
                }
                client.send(.join(topic))
                request(2, topic, 4, 0)
                request(3, topic, 0, 2)
                request(4, topic, Int(UInt32.max), Int(UInt32.max))
                // The last row's cells have fewer leaves.
                request(5, topic, 0, 1)
                request(6, other, 0, 0)
                client.send(.getCellLayer(request: 7, topic: topic, shard: ShardIndex(4)))
                client.send(.getCellLayer(request: 8, topic: other, shard: ShardIndex(0)))
                client.send(.getDocument(request: 9, digest: digest))
                client.send(.cancel(request: 1234))
                client.send(.leave(other))
                // Requests are answered by workers: a topic that is left meanwhile is unknown.
                let isAnswered = await eventually { Self.answers(client).count == 8 }
                #expect(isAnswered)
                client.send(.leave(topic))
                let expected: [UInt32: [String]] = [
                    2: ["badRequest"], 3: ["badRequest"], 4: ["badRequest"],
                    5: ["badRequest"], 6: ["unknown"], 7: ["unknown"], 8: ["unknown"],
                    9: ["unknown"],
                ]
                #expect(Self.answers(client) == expected)
                #expect(!client.isClosed)
            }
        }

        /// A liar that does not answer TLS's goodbye keeps neither its connection nor its requests.
        @Test func aLiarThatDoesNotHangUpHoldsNothingUp() async throws {
            let blob = try Self.blob.get()
            try await withSwarm { swarm in
                let liar = Liar(blob, shards: [0, 1])
                let server = try await RawServer.start { frame, peer in
                    if case .control(.request(let request)) = frame,
                        request.address.cell.rawValue == 0
                    {
                        // Nothing more is read from this connection, the goodbye included.
                        peer.channel.setOption(.autoRead, value: false).whenComplete { _ in
                            let header = CellLayerHeader(request: 1, cellCount: 0)
                            peer.send(FrameEncoder.cellLayer(header, hashes: []))
                            peer.send(RawPeer.hello)
                        }
                        return
                    }
                    liar.script(frame, peer)
                }
                let node = try await swarm.start {
                    try blob.install(in: $0.store, shards: blob.shards)
                }
                let reader = try await swarm.start(peers: [])
                reader.node.dial([server.endpoint])
                let isConnected = await eventually { reader.node.peerCount == 1 }
                #expect(isConnected)
                async let bytes = reader.readAll(blob.record)
                let isGone = await eventually {
                    reader.log.all.contains { $0.contains("Hello twice") }
                        && reader.node.engine.state.withLock { $0.scheduler.requests.isEmpty }
                }
                #expect(isGone)
                reader.node.dial([node.endpoint])
                let read = try await bytes
                #expect(read == blob.plain)
                await server.stop()
            }
        }
    }
}
