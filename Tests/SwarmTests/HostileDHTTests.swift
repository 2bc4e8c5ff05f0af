import NIOCore
import PetalsCodec
import PetalsCore
import PetalsTesting
import Testing

@testable import ShardFetch

extension Swarms {
    /// A DHT whose only other node lies.
    @Suite(.serialized) struct HostileDHTTests {
        /// Runs a node of the public DHT's rules whose only contact answers with `peers`.
        private func withLiar(
            peers: [[UInt8]], port: Int = 7001,
            _ body: (DHTNode, LyingNode) async throws -> Void
        ) async throws {
            let network = DHTLoopback()
            let liar = LyingNode(peers: peers)
            let (channel, address) = try await liar.listen(on: network.host(2))
            var configuration = DHTConfiguration(
                bootstrap: [address],
                listen: [try SocketEndpoint(parsing: network.host(3) + ":0")])
            configuration.isPrivate = false
            let node = DHTNode(configuration)
            try await withNodes([node]) {
                try await node.start(port: port)
                try await body(node, liar)
            }
            try await channel.close()
        }

        /// A flood of false peers is cut to a sample, and of those that nobody should dial none is
        /// handed on.
        @Test func falsePeersAreSampledAndSifted() async throws {
            let bad: [[UInt8]] = [
                [127, 0, 0, 1, 0, 22], [10, 0, 0, 1, 0, 80], [192, 168, 1, 1, 0, 80],
                [224, 0, 0, 1, 1, 1], [255, 255, 255, 255, 1, 1], [0, 0, 0, 0, 1, 1],
                [20, 0, 0, 1, 0, 0], [169, 254, 169, 254, 0, 80],
            ]
            let good: [[UInt8]] = (0..<150).map { [20, 0, 1, $0, 30, 20] }
            try await withLiar(peers: bad + good) { node, liar in
                let topic = try randomTopic()
                node.table.find(topic)
                let isAnswered = await eventually { !node.found.isEmpty }
                #expect(isAnswered)
                #expect(liar.questions > 0)
                #expect(node.found.count <= AnswerSampler.firstAnswerHintsMax)
                #expect(node.found.allSatisfy { $0.topic == topic })
                for hint in node.found {
                    #expect(hint.endpoint.host.hasPrefix("20.0.1."))
                    #expect(hint.endpoint.port == 30 << 8 | 20)
                }
            }
        }

        /// Who can be reached says at which port; who cannot only looks.
        @Test(arguments: [7001, 0]) func onlyAPortIsAnnounced(port: Int) async throws {
            try await withLiar(peers: [], port: port) { node, liar in
                for round in 1...3 {
                    let topic = try randomTopic()
                    node.table.announce(topic)
                    let isAsked = await eventually { liar.questions >= round }
                    #expect(isAsked)
                }
                if port > 0 {
                    let isTold = await eventually { liar.count("4:porti7001e") == 3 }
                    #expect(isTold)
                }
                #expect(liar.count("13:announce_peer") == (port > 0 ? 3 : 0))
            }
        }

        /// Lists of peers that are none: they are not found, and harm nothing.
        @Test func brokenPeersAreNotFound() async throws {
            var generator = SeededGenerator(seed: 62)
            let broken: [[[UInt8]]] = [
                [[]], [[1]], [generator.bytes(5)], [generator.bytes(7), generator.bytes(17)],
                [generator.bytes(200)], Array(repeating: [], count: 200),
            ]
            for list in broken {
                try await withLiar(peers: list) { node, liar in
                    node.table.find(try randomTopic())
                    let isAsked = await eventually { liar.questions > 0 }
                    #expect(isAsked)
                    // It goes on after that: the next lookup is asked too.
                    let before = liar.questions
                    node.table.find(try randomTopic())
                    let isAskedAgain = await eventually { liar.questions > before }
                    #expect(isAskedAgain)
                }
            }
        }
    }

    /// Items that whoever knows a key can look up, straight through the session.
    @Suite(.serialized) struct MutableItemTests {
        private func session(
            _ host: String, nodes: [NumericEndpoint] = []
        ) throws -> RendezvousSession {
            var configuration = DHTConfiguration(
                listen: [try SocketEndpoint(parsing: host + ":0")])
            configuration.isPrivate = true
            return try RendezvousSession(configuration: configuration, nodes: nodes, state: [])
        }

        private func listening(_ session: RendezvousSession) throws -> NumericEndpoint {
            let deadline = MonotonicClock.now + 60
            while MonotonicClock.now < deadline {
                if case .listening(let endpoint) = try session.poll(seconds: 1) { return endpoint }
            }
            throw PetalsError(.timedOut, "the session does not listen")
        }

        private func signed(
            _ owner: SigningIdentity, sequence: Int64, salt: [UInt8], _ text: String
        ) -> MutableItem {
            let value = Array("\(text.utf8.count):\(text)".utf8)
            let message = MutableItem.signedBytes(sequence: sequence, salt: salt, value: value)
            return MutableItem(
                key: owner.publicKey, signature: owner.sign(message), sequence: sequence,
                salt: salt, value: value)
        }

        /// One node stores, another finds the latest version at a third one, and nothing forged.
        @Test func whatIsSignedIsFound() throws {
            let network = DHTLoopback()
            let first = try session(network.host(2))
            let endpoint = try listening(first)
            let writer = try session(network.host(3), nodes: [endpoint])
            let reader = try session(network.host(4), nodes: [endpoint])
            let owner = SigningIdentity()
            let salt = Array("catalogue".utf8)
            let old = signed(owner, sequence: 1, salt: salt, "first")
            let new = signed(owner, sequence: 2, salt: salt, "second")
            let forged = MutableItem(
                key: owner.publicKey, signature: new.signature, sequence: 3, salt: salt,
                value: Array("6:forged".utf8))
            let deadline = MonotonicClock.now + 60
            var found: Set<MutableItem> = []
            while !found.contains(new), MonotonicClock.now < deadline {
                for item in [old, new, forged] { #expect(writer.put(item)) }
                #expect(reader.getItem(key: owner.publicKey, salt: salt))
                let pause = MonotonicClock.now + 0.5
                while MonotonicClock.now < pause {
                    if case .item(let item) = try reader.poll(seconds: 0.1) { found.insert(item) }
                    for other in [first, writer] { _ = try other.poll(seconds: 0) }
                }
            }
            #expect(found.contains(new))
            #expect(!found.contains(forged))
        }

        @Test func whatIsNoItemIsRefused() throws {
            let session = try session(DHTLoopback().host(2))
            let owner = SigningIdentity()
            let right = signed(owner, sequence: 1, salt: [], "x")
            func item(
                key: [UInt8]? = nil, signature: [UInt8]? = nil, salt: [UInt8] = [],
                value: [UInt8]? = nil
            ) -> MutableItem {
                MutableItem(
                    key: key ?? right.key, signature: signature ?? right.signature, sequence: 1,
                    salt: salt, value: value ?? right.value)
            }
            #expect(session.put(right))
            #expect(!session.put(item(key: [1])))
            #expect(!session.put(item(signature: [])))
            #expect(!session.put(item(salt: Array(repeating: 1, count: 65))))
            #expect(!session.put(item(value: [])))
            #expect(!session.put(item(value: Array("d".utf8))))
            #expect(!session.put(item(value: Array("998:".utf8) + Array(repeating: 1, count: 998))))
            #expect(!session.getItem(key: [], salt: []))
            #expect(!session.getItem(key: right.key, salt: Array(repeating: 1, count: 65)))
        }
    }
}
