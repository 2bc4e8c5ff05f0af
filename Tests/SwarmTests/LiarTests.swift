import NIOCore
import PetalsCodec
import PetalsCore
import PetalsTesting
import Testing

@testable import ShardFetch

extension Swarms {
    /// Peers that hold the right shards and answer wrongly.
    ///
    /// The reader never sees a wrong byte, the liar is left out and nobody else is, and the read
    /// goes on with the others.
    @Suite(.serialized) struct LiarTests {
        /// Two full rows and a short one of seven leaves; k = 2, n = 4.
        static let blob = Result {
            try SampleBlob(
                seed: 24, size: 2 * 2 * Limits.cellBytes + 2 * 7 * Limits.leafBytes - 1000,
                dataShards: 2, groupShards: 4)
        }

        /// A leaf by its place: first, middle, last of the first, middle, last cell.
        struct Place: Sendable, CustomTestStringConvertible {
            let cell: Int
            let leaf: Int
            let byte: Int

            var testDescription: String { "cell \(cell) leaf \(leaf) byte \(byte)" }
        }

        static var places: [Place] {
            [(0, 16), (1, 16), (2, 7)].flatMap { cell, leaves in
                [(0, 0), (leaves / 2, 8191), (leaves - 1, Limits.leafBytes - 1)].map {
                    Place(cell: cell, leaf: $0.0, byte: $0.1)
                }
            }
        }

        /// Has a reader read all from a liar that holds one shard and honest holders of others.
        ///
        /// - Parameter late: shards whose holder comes when the liar has been found out.
        private func expectBlame(
            _ liar: Liar, honest: [Int], late: [Int] = [],
            _ comment: Comment = "a liar", blames: Bool = true
        ) async throws {
            let blob = liar.blob
            try await withSwarm { swarm in
                let server = try await RawServer.start(liar.script)
                var nodes: [LoopbackNode] = []
                for shards in [honest, late] where !shards.isEmpty {
                    nodes.append(
                        try await swarm.start { node in
                            try blob.install(in: node.store, shards: shards.map { ShardIndex($0) })
                        })
                }
                let reader = try await swarm.start(peers: [nodes[0]])
                reader.node.dial([server.endpoint])
                let bothAreThere = await eventually { reader.node.peerCount == 2 }
                #expect(bothAreThere)
                try await reader.node.warm(blob.record)
                // What it holds is known before anybody thinks of doing without it.
                let isKnown = await eventually {
                    reader.blames(server.identity.peerID)
                        || reader.holderCount(blob, liar.shards[0]) > 0
                }
                #expect(isKnown)
                async let bytes = reader.readAll(blob.record)
                if blames {
                    let isBlamed = await eventually { reader.blames(server.identity.peerID) }
                    #expect(isBlamed, comment)
                }
                for node in nodes.dropFirst() { reader.node.dial([node.endpoint]) }
                let read = try await bytes
                #expect(read == blob.plain, comment)
                // It is in the books of credit, too, once for all that is wrong.
                let broken = reader.account(of: server.identity.peerID)?.violations ?? 0
                #expect(broken == (blames ? 1 : 0), comment)
                for node in nodes {
                    #expect(!reader.blames(node.node.identity.peerID), comment)
                    #expect(reader.account(of: node.peerID)?.violations == 0, comment)
                }
                await server.stop()
            }
        }

        @Test(arguments: [0, 1], places)
        func aFlippedByteInADataShard(_ shard: Int, _ place: Place) async throws {
            var liar = Liar(try Self.blob.get(), shards: [shard])
            liar.answer = flip(place)
            let others = (0..<4).filter { $0 != shard }
            try await expectBlame(liar, honest: others, "\(place.testDescription)")
        }

        /// Data shard 0 is lost and the liar's parity is needed, until another holder comes.
        @Test(arguments: zip([2, 3, 2, 3, 2, 3, 2, 3, 2], places))
        func aFlippedByteInAParityShard(_ shard: Int, _ place: Place) async throws {
            var liar = Liar(try Self.blob.get(), shards: [shard])
            liar.answer = flip(place)
            try await expectBlame(
                liar, honest: [1], late: [shard == 2 ? 3 : 2], "\(place.testDescription)")
        }

        private func flip(
            _ place: Place
        ) -> @Sendable (ControlMessage.LeafRequest, Liar.Answer) -> Liar.Answer? {
            { request, honest in
                guard request.address.cell.rawValue == place.cell,
                    honest.leaves.contains(place.leaf)
                else { return honest }
                var said = honest
                let start = (place.leaf - honest.leaves.lowerBound) * Limits.leafBytes
                said.bytes[start + place.byte] ^= 1
                return said
            }
        }

        @Test func aProofThatProvesSomethingElse() async throws {
            let blob = try Self.blob.get()
            for change in 0..<3 {
                var liar = Liar(blob, shards: [0])
                liar.answer = { request, honest in
                    var said = honest
                    // One leaf at a time, so that there is a proof to be wrong.
                    said.leaves = honest.leaves.lowerBound..<honest.leaves.lowerBound + 1
                    said.bytes = Array(honest.bytes.prefix(Limits.leafBytes))
                    guard let cell = blob.cells[request.address] else { return nil }
                    said.proof = HashTree.rangeProof(
                        leafHashes: cell.leafHashes, range: said.leaves)
                    switch change {
                    case 0: said.proof[0] = said.proof.last ?? .zero
                    case 1: said.proof.removeLast()
                    default: said.proof.append(.zero)
                    }
                    return said
                }
                try await expectBlame(liar, honest: [1, 2, 3], "change \(change)")
            }
        }

        /// The right bytes of another place.
        @Test func leavesOfAnotherCell() async throws {
            let blob = try Self.blob.get()
            var liar = Liar(blob, shards: [0])
            liar.answer = { request, honest in
                let other = CellAddress(shard: ShardIndex(1), cell: request.address.cell)
                guard let cell = blob.cells[other] else { return nil }
                return Liar.Answer(
                    leaves: honest.leaves,
                    proof: HashTree.rangeProof(leafHashes: cell.leafHashes, range: honest.leaves),
                    bytes: cell.part(honest.leaves).bytes)
            }
            try await expectBlame(liar, honest: [1, 2, 3])
        }

        @Test(arguments: 0..<3)
        func aCellLayerThatIsNotThePublishedOne(_ change: Int) async throws {
            var liar = Liar(try Self.blob.get(), shards: [0])
            liar.layer = { _, hashes in
                switch change {
                case 0: [.zero] + hashes.dropFirst()
                case 1: hashes.dropLast()
                default: hashes + [.zero]
                }
            }
            try await expectBlame(liar, honest: [1, 2, 3])
        }

        @Test(arguments: 0..<4)
        func holdingsThatDoNotFitTheBlob(_ change: Int) async throws {
            var liar = Liar(try Self.blob.get(), shards: [0])
            liar.holdings = { _ in
                switch change {
                case 0: [.init(shard: ShardIndex(0), cells: [])]
                case 1: [.init(shard: ShardIndex(0), cells: [7, 0])]
                case 2: [.init(shard: ShardIndex(0), cells: [0xff])]
                default: [.init(shard: ShardIndex(4), cells: nil)]
                }
            }
            try await expectBlame(liar, honest: [1, 2, 3])
        }

        /// Claims all, and refuses, or answers for other leaves, or not at all: no lie is proved,
        /// and nobody has to wait for it.
        @Test(arguments: 0..<4)
        func aHolderThatGivesNothing(_ change: Int) async throws {
            let blob = try Self.blob.get()
            var liar = Liar(blob, shards: [0])
            switch change {
            case 0: liar.answer = { _, _ in nil }
            case 1:
                // Some of the leaves, and then silence.
                liar.answer = { request, honest in
                    guard request.leaves.count > 1 else { return nil }
                    var said = honest
                    said.leaves = honest.leaves.lowerBound..<honest.leaves.upperBound - 1
                    said.bytes = Array(honest.bytes.dropLast(Limits.leafBytes))
                    guard let cell = blob.cells[request.address] else { return nil }
                    said.proof = HashTree.rangeProof(
                        leafHashes: cell.leafHashes, range: said.leaves)
                    return said
                }
            case 2:
                // Leaves that nobody asked for.
                liar.answer = { request, honest in
                    var said = honest
                    said.leaves = 15..<16
                    said.bytes = Array(honest.bytes.prefix(Limits.leafBytes))
                    return request.leaves.contains(15) ? nil : said
                }
            default: liar.layer = { _, _ in [] }
            }
            // An empty layer is a lie.
            try await expectBlame(liar, honest: [1, 2, 3], "change \(change)", blames: change == 3)
        }

        /// A frame whose length contradicts its header ends the connection; the read goes on.
        @Test func aFrameThatIsTooShort() async throws {
            let blob = try Self.blob.get()
            try await withSwarm { swarm in
                let honest = Liar(blob, shards: [0])
                let server = try await RawServer.start { frame, peer in
                    guard case .control(.request(let request)) = frame else {
                        return honest.script(frame, peer)
                    }
                    var buffer = ByteBuffer()
                    let header = DataHeader(
                        request: request.request, leaves: request.leaves, proofCount: 0)
                    buffer.writeInteger(UInt32(1 + 8 + 100))
                    buffer.writeInteger(FrameKind.data.rawValue)
                    buffer.writeBytes(header.bytes)
                    buffer.writeBytes([UInt8](repeating: 1, count: 100))
                    peer.send(buffer)
                }
                let node = try await swarm.start { node in
                    try blob.install(in: node.store, shards: (1..<4).map { ShardIndex($0) })
                }
                let reader = try await swarm.start(peers: [node])
                reader.node.dial([server.endpoint])
                #expect(try await reader.readAll(blob.record) == blob.plain)
                await server.stop()
            }
        }

        @Test func aDescriptorThatIsNotTheOneAskedFor() async throws {
            let blob = try Self.blob.get()
            var liar = Liar(blob, shards: [0, 1, 2, 3])
            liar.document[liar.document.count / 2] ^= 1
            let bad = liar
            try await withSwarm { swarm in
                let server = try await RawServer.start(bad.script)
                let reader = try await swarm.start(peers: [])
                reader.node.dial([server.endpoint])
                async let bytes = reader.readAll(blob.record)
                let isBlamed = await eventually { reader.blames(server.identity.peerID) }
                #expect(isBlamed)
                let node = try await swarm.start { node in
                    try blob.install(in: node.store, shards: blob.shards)
                }
                reader.node.dial([node.endpoint])
                let read = try await bytes
                #expect(read == blob.plain)
                #expect(!reader.blames(node.node.identity.peerID))
                await server.stop()
            }
        }
    }
}
