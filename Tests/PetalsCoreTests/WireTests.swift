import PetalsCore
import PetalsTesting
import Testing

/// Control messages and frame headers: what peers say, and what they should not.
@Suite struct WireTests {
    static func messages() throws -> [ControlMessage] {
        var generator = SeededGenerator(seed: 11)
        let topic = try generator.topic()
        let address = CellAddress(shard: ShardIndex(70_000), cell: CellIndex(761))
        let requests = [0..<1, 0..<16, 15..<16, 3..<9].map {
            ControlMessage.request(
                .init(request: 77, topic: topic, address: address, leaves: $0, bulk: $0.count > 4))
        }
        return [
            .hello(.init(agent: "petalsfs/1 ünï", requestsMax: 256, requestedBytesMax: 16 << 20)),
            .hello(.init(agent: "", requestsMax: 1, requestedBytesMax: 1, listenPort: 65_535)),
            .join(topic), .leave(topic),
            .holdings(
                topic,
                [
                    .init(shard: ShardIndex(0), cells: nil),
                    .init(shard: ShardIndex(9), cells: [1, 2, 3]),
                    .init(shard: ShardIndex(10), cells: []),
                ]), .holdings(topic, []),
            .getDocument(request: .max, digest: generator.digest()),
            .getRecord(request: 1 << 31, sha256: generator.digest()),
            .getCellLayer(request: 0, topic: topic, shard: ShardIndex(5)),
            .peerExchange([]),
            .peerExchange([
                .init(address: [9, 9, 9, 9], port: 1, topics: [topic]),
                .init(
                    address: [UInt8](repeating: 7, count: 16), port: 65_535,
                    topics: [Topic](repeating: topic, count: Limits.exchangedTopicsMax)),
            ]),
            .pledges([], room: nil), .pledges([], room: 0),
            .pledges(
                [
                    .init(topic: topic, kept: [ShardIndex(0), ShardIndex(262_143)], dropped: []),
                    .init(
                        topic: topic, kept: [],
                        dropped: [ShardIndex(1), ShardIndex(300)]),
                ], room: .max),
            .followCatalogues([]),
            .followCatalogues([Topic](repeating: topic, count: Limits.cataloguesMax)),
            .catalogueNews(topic, []), .catalogueNews(topic, [1, 2, 3]),
            .cancel(request: 3), .damaged(request: 9), .ping(.max), .pong(0), .unknown,
        ] + requests + (try CreditSamples.messages())
            + ControlMessage.Refusal.allCases.map { .refuse(request: 4, $0) }
    }

    @Test func messagesComeBack() throws {
        for message in try Self.messages() {
            #expect(try ControlMessage(parsing: message.serialized()) == message)
        }
    }

    @Test func damagedMessagesGiveErrorsOrMessages() throws {
        for message in try Self.messages() {
            Mutations.each(of: message.serialized()) { bytes in
                // An error is one of the two right answers.
                guard let read = try? ControlMessage(parsing: bytes) else { return }
                let again = try? ControlMessage(parsing: read.serialized())
                if again != read { Issue.record("\(read) reads as \(String(describing: again))") }
                if case .request(let request) = read {
                    #expect(!request.leaves.isEmpty && request.leaves.upperBound <= 16)
                }
            }
        }
    }

    @Test func tooManyPledgesAreRefused() throws {
        let topic = try #require(Topic([UInt8](repeating: 3, count: Topic.byteCount)))
        let shards = (0...Limits.pledgedShardsMax).map { ShardIndex($0) }
        let long = ControlMessage.Pledge(topic: topic, kept: shards, dropped: [])
        let short = ControlMessage.Pledge(topic: topic, kept: [], dropped: [])
        let many = Array(repeating: short, count: Limits.topicsPerPeerMax + 1)
        for pledges in [[long], many] {
            let bytes = ControlMessage.pledges(pledges, room: 5).serialized()
            #expect(throws: PetalsError.self) { try ControlMessage(parsing: bytes) }
        }
    }

    @Test func laterMessagesAreSkipped() throws {
        for field in 23...40 as ClosedRange<UInt64> {
            let bytes = ProtobufWriter { $0.message(field) { $0.number(1, 5) } }.bytes
            #expect(try ControlMessage(parsing: bytes) == .unknown)
        }
        let refusal = ProtobufWriter { $0.message(9) { $0.number(2, 99) } }.bytes
        #expect(try ControlMessage(parsing: refusal) == .refuse(request: 0, .unspecified))
    }

    /// So many catalogues, and so long a head; each limit, and what is beyond it.
    @Test func catalogueMessagesHaveLimits() throws {
        let topic = [UInt8](repeating: 3, count: 20)
        func follows(_ count: Int, _ topic: [UInt8]) -> [UInt8] {
            ProtobufWriter {
                $0.message(18) { follow in
                    for _ in 0..<count { follow.data(1, topic) }
                }
            }.bytes
        }
        func news(_ topic: [UInt8], _ count: Int) -> [UInt8] {
            ProtobufWriter {
                $0.message(19) {
                    $0.data(1, topic)
                    $0.data(2, [UInt8](repeating: 1, count: count))
                }
            }.bytes
        }
        let good = [
            follows(Limits.cataloguesMax, topic), news(topic, Limits.catalogueHeadBytesMax),
        ]
        for bytes in good { #expect(try ControlMessage(parsing: bytes).serialized() == bytes) }
        for bytes in [
            follows(Limits.cataloguesMax + 1, topic), follows(1, [1]), news([], 1),
            news(topic, Limits.catalogueHeadBytesMax + 1),
        ] {
            #expect(throws: PetalsError.self) { try ControlMessage(parsing: bytes) }
        }
    }

    /// Each limit of peer exchange, at it and beyond it.
    @Test func peersThatAreToldOfHaveAnAddress() {
        func read(
            count: Int = 1, address: Int = 4, port: UInt64 = 1, topics: Int = 1, topic: Int = 20
        ) -> ControlMessage? {
            let bytes = ProtobufWriter {
                $0.message(17) { exchange in
                    for _ in 0..<count {
                        exchange.message(1) { peer in
                            peer.data(1, [UInt8](repeating: 1, count: address))
                            peer.number(2, port)
                            for _ in 0..<topics {
                                peer.data(3, [UInt8](repeating: 1, count: topic))
                            }
                        }
                    }
                }
            }.bytes
            // What is refused is nil.
            return try? ControlMessage(parsing: bytes)
        }
        #expect(read() != nil && read(count: 0) == .peerExchange([]))
        #expect(read(count: 50) != nil && read(count: 51) == nil)
        for bytes in 0...20 { #expect((read(address: bytes) != nil) == [4, 16].contains(bytes)) }
        #expect(read(port: 0) == nil && read(port: 65_535) != nil && read(port: 65_536) == nil)
        #expect(read(topics: 0) == nil && read(topics: 8) != nil && read(topics: 9) == nil)
        #expect(read(topic: 19) == nil && read(topic: 21) == nil)
    }

    @Test(
        arguments: [(0, 0), (0, 17), (16, 1), (15, 2), (0, .max), (UInt64(UInt32.max), 1)]
            as [(UInt64, UInt64)])
    func impossibleRequestsAreRefused(first: UInt64, count: UInt64) {
        let bytes = ProtobufWriter {
            $0.message(7) {
                $0.data(2, [UInt8](repeating: 1, count: 20))
                $0.number(5, first)
                $0.number(6, count)
            }
        }.bytes
        #expect(throws: PetalsError.self) { try ControlMessage(parsing: bytes) }
    }

    /// The bytes of the message, by hand; and a SHA-256 that is none.
    @Test func questionsForRecordsHaveTheBytesOfTheFormat() throws {
        func question(_ sha256: [UInt8]) -> [UInt8] {
            ProtobufWriter {
                $0.message(21) {
                    $0.number(1, 77)
                    if !sha256.isEmpty { $0.data(2, sha256) }
                }
            }.bytes
        }
        let digest = try #require(Digest(Array(1...32)))
        let message = ControlMessage.getRecord(request: 77, sha256: digest)
        #expect(message.serialized() == question(digest.bytes))
        #expect(try ControlMessage(parsing: question(digest.bytes)) == message)
        for count in 0...64 where count != 32 {
            #expect(throws: PetalsError.self) {
                try ControlMessage(parsing: question([UInt8](repeating: 1, count: count)))
            }
        }
    }

    @Test func peersCannotMakeUsLogNovels() throws {
        func hello(_ agent: [UInt8], version: UInt64 = 1) -> [UInt8] {
            ProtobufWriter {
                $0.message(1) {
                    $0.number(1, version)
                    $0.data(2, agent)
                }
            }.bytes
        }
        #expect(throws: PetalsError.self) {
            try ControlMessage(parsing: hello(Array(repeating: 97, count: 129)))
        }
        let read = try ControlMessage(parsing: hello(Array("a\u{1B}[2J\nb".utf8)))
        guard case .hello(let greeting) = read else {
            Issue.record("a hello reads as \(read)")
            return
        }
        #expect(greeting.agent == "a\u{FFFD}[2J\u{FFFD}b")
        let error = #expect(throws: PetalsError.self) {
            try ControlMessage(parsing: hello([], version: 2))
        }
        #expect(error?.code == .unsupportedVersion)
    }

    @Test func oversizedMessagesAreRefused() {
        let bytes = [UInt8](repeating: 0, count: Limits.controlBytesMax + 1)
        #expect(throws: PetalsError.self) { try ControlMessage(parsing: bytes) }
    }
}
