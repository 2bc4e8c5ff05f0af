import NIOCore
import PetalsCodec
import PetalsCore
import PetalsStore
import PetalsTesting
import Testing

@testable import ShardFetch

extension Swarms {
    /// Peers that say something false when they are asked for a file by its SHA-256.
    ///
    /// What can be told at once is told at once; the rest when the file is complete.
    @Suite(.serialized) struct FindingLiarTests {
        /// An answer that is not sound, and whether it is a lie.
        enum Lie: CaseIterable, Sendable {
            case noise, emptyRecord, otherFile, notPublic, foreignKey, otherGeometry, otherLength
            case missingBlob, damagedDescriptor, tooLarge, outOfOrder
            case laterCodec, silence, trickle, refusal

            var isBlamed: Bool {
                switch self {
                case .laterCodec, .silence, .trickle, .refusal, .missingBlob: false
                default: true
                }
            }
        }

        /// The honest one is found all the same, and the liar is left out.
        @Test(arguments: Lie.allCases)
        func aRecordThatIsNotSoundIsNotTaken(_ lie: Lie) async throws {
            let blob = try SampleBlob(seed: 56, size: 700_000, dataShards: 2, groupShards: 4)
            let script = try Self.script(lie, blob)
            try await withSwarm { swarm in
                let server = try await RawServer.start(script)
                let reader = try await swarm.start(peers: [])
                reader.node.dial([server.endpoint])
                let isConnected = await eventually { reader.node.peerCount == 1 }
                #expect(isConnected)
                async let search = reader.node.findFile(
                    sha256: blob.record.sha256, seconds: FindingTests.patience)
                let isAsked = await eventually {
                    server.peers.contains { peer in
                        peer.frames.contains {
                            if case .control(.getRecord) = $0 { true } else { false }
                        }
                    }
                }
                #expect(isAsked)
                if lie.isBlamed {
                    let isBlamed = await eventually { reader.blames(server.identity.peerID) }
                    #expect(isBlamed)
                }
                let honest = try await swarm.start {
                    try blob.install(in: $0.store, shards: blob.shards)
                }
                honest.node.offer([blob.record])
                reader.node.dial([honest.endpoint])
                let record = try await search
                #expect(record == blob.record)
                #expect(try await reader.readAll(record) == blob.plain)
                #expect(reader.blames(server.identity.peerID) == lie.isBlamed)
                #expect(!reader.blames(honest.node.identity.peerID))
                await server.stop()
            }
        }

        /// Alone with somebody who gives nothing, a search ends when its time is over.
        @Test(arguments: [Lie.silence, .trickle, .refusal, .missingBlob, .laterCodec])
        func aSearchEnds(_ lie: Lie) async throws {
            let blob = try SampleBlob(seed: 56, size: 700_000, dataShards: 2, groupShards: 4)
            let script = try Self.script(lie, blob)
            try await withSwarm { swarm in
                let server = try await RawServer.start(script)
                let reader = try await swarm.start(peers: [])
                reader.node.dial([server.endpoint])
                let isConnected = await eventually { reader.node.peerCount == 1 }
                #expect(isConnected)
                let code = await reader.failure(toFind: blob.record.sha256, seconds: 1)
                #expect(code == .unavailable)
                await server.stop()
            }
        }

        private static func script(_ lie: Lie, _ blob: SampleBlob) throws -> RawServer.Script {
            var descriptor = blob.sealedDescriptor
            if lie == .damagedDescriptor { descriptor[descriptor.count / 2] ^= 1 }
            let document = lie == .missingBlob ? nil : Optional(descriptor)
            let answer = try self.answer(lie, blob)
            return { frame, peer in
                switch frame {
                case .control(.getDocument(let request, _)):
                    guard let document else {
                        return peer.send(.refuse(request: request, .unknown))
                    }
                    send(document, request, to: peer)
                case .control(.getRecord(let request, _)):
                    switch lie {
                    case .silence: break
                    case .refusal: peer.send(.refuse(request: request, .unknown))
                    case .trickle: trickle(request, to: peer)
                    case .tooLarge:
                        let header = DocumentHeader(
                            request: request, total: Limits.recordBytesMax + 1, offset: 0)
                        peer.send(FrameEncoder.document(header, chunk: [1]))
                    case .outOfOrder:
                        let header = DocumentHeader(request: request, total: 100, offset: 7)
                        peer.send(FrameEncoder.document(header, chunk: [1]))
                    default: send(answer, request, to: peer)
                    }
                case .control(.ping(let token)): peer.send(.pong(token))
                default: break
                }
            }
        }

        private static func send(_ document: [UInt8], _ request: UInt32, to peer: RawPeer) {
            let header = DocumentHeader(request: request, total: document.count, offset: 0)
            peer.send(FrameEncoder.document(header, chunk: document[...]))
        }

        /// A byte now and then, so that there is never silence.
        private static func trickle(_ request: UInt32, to peer: RawPeer) {
            for offset in 0..<1200 {
                peer.channel.eventLoop.scheduleTask(in: .milliseconds(Int64(offset) * 100)) {
                    let header = DocumentHeader(request: request, total: 5000, offset: offset)
                    peer.send(FrameEncoder.document(header, chunk: [1]))
                }
            }
        }

        /// The bytes that a liar sends for a record.
        private static func answer(_ lie: Lie, _ blob: SampleBlob) throws -> [UInt8] {
            let honest = blob.record
            func record(
                size: Int? = nil, sha256: Digest? = nil, key: SecretKey? = nil,
                stored: Digest? = honest.storedSHA256
            ) throws -> [UInt8] {
                let size = size ?? honest.size
                return FileRecord(
                    size: size, sha256: sha256 ?? honest.sha256,
                    frames: try FrameTable(size: size, codec: .raw, lengths: []),
                    blobID: honest.blobID, blobKey: key ?? honest.blobKey, storedSHA256: stored
                ).serialized()
            }
            switch lie {
            case .noise:
                var generator = SeededGenerator(seed: 57)
                return generator.bytes(200)
            case .emptyRecord: return [0x08, 0x01]
            case .otherFile:
                return try record(sha256: sha256Of([1]), stored: sha256Of([1]))
            case .notPublic: return try record(stored: nil)
            case .foreignKey: return try record(key: .random())
            case .otherLength: return try record(size: honest.size + 1)
            case .otherGeometry: return try otherGeometry(blob)
            // Field 3, the codec, once more at the end: the last one counts.
            case .laterCodec: return honest.serialized() + [0x18, 0x63]
            default: return honest.serialized()
            }
        }

        private static func sha256Of(_ bytes: [UInt8]) -> Digest { sha256(bytes) }

        /// A coded record of the right SHA-256 whose key is not that of its stored stream.
        private static func otherGeometry(_ blob: SampleBlob) throws -> [UInt8] {
            let size = blob.record.size
            let lengths = stride(from: 0, to: size, by: Limits.frameBytes).map {
                UInt32(min(Limits.frameBytes, size - $0))
            }
            return FileRecord(
                size: size, sha256: blob.record.sha256,
                frames: try FrameTable(size: size, codec: .lz4, lengths: lengths),
                blobID: blob.id, blobKey: blob.record.blobKey, storedSHA256: sha256([2])
            ).serialized()
        }

        /// A whole blob of something else, sealed as if it were the file: nothing but the content's
        /// own SHA-256 tells; then another is looked for.
        @Test func anotherFileUnderTheSameHashIsFoundOutWhenItIsComplete() async throws {
            let right = try SampleBlob(seed: 58, size: 700_000, dataShards: 2, groupShards: 4)
            let wrong = try SampleBlob(
                seed: 59, size: 700_000, dataShards: 2, groupShards: 4,
                claiming: right.record.sha256)
            try await withSwarm { swarm in
                let liar = try await swarm.start {
                    try wrong.install(in: $0.store, shards: wrong.shards)
                }
                liar.node.offer([wrong.record])
                let reader = try await swarm.start(peers: [liar])
                let found = try await reader.node.findFile(
                    sha256: right.record.sha256, seconds: FindingTests.patience)
                #expect(found == wrong.record)
                _ = try await reader.readAll(found)
                let stored = try #require(reader.store.blob(found.blobID))
                let isWhole = await eventually { stored.hasAllData }
                #expect(isWhole)
                #expect(try stored.readPlaintextDigest(of: found) == sha256(wrong.plain))

                let honest = try await swarm.start {
                    try right.install(in: $0.store, shards: right.shards)
                }
                honest.node.offer([right.record])
                reader.node.dial([honest.endpoint])
                let again = try await reader.node.findFile(
                    sha256: right.record.sha256, excluding: [wrong.id],
                    seconds: FindingTests.patience)
                #expect(again == right.record)
                // Both blobs have one key, and are two swarms.
                #expect(right.relayKey == wrong.relayKey && right.id != wrong.id)
                #expect(try await reader.readAll(again) == right.plain)
                for node in [liar, honest] {
                    #expect(!reader.blames(node.node.identity.peerID))
                }
            }
        }

        /// Who reads the false blob asks no holder of the right one for it, and blames none.
        @Test func holdersOfTheRightFileAreNotTakenForLiars() async throws {
            let right = try SampleBlob(seed: 58, size: 700_000, dataShards: 2, groupShards: 4)
            let wrong = try SampleBlob(
                seed: 59, size: 700_000, dataShards: 2, groupShards: 4,
                claiming: right.record.sha256)
            try await withSwarm { swarm in
                let honest = try await swarm.start {
                    try right.install(in: $0.store, shards: right.shards)
                }
                let liar = try await swarm.start {
                    try wrong.install(in: $0.store, shards: wrong.shards)
                }
                let reader = try await swarm.start(peers: [honest, liar])
                let areConnected = await eventually { reader.node.peerCount == 2 }
                #expect(areConnected)
                async let bytes = reader.readAll(wrong.record)
                async let others = reader.readAll(right.record)
                let read = try await [bytes, others]
                #expect(read == [wrong.plain, right.plain])
                for node in [liar, honest] {
                    #expect(!reader.blames(node.node.identity.peerID))
                }
            }
        }
    }
}

extension LoopbackNode {
    /// The code of the error that a search ends with; nil where it finds the file.
    func failure(toFind sha256: Digest, seconds: Double) async -> PetalsError.Code? {
        do throws(PetalsError) {
            _ = try await node.findFile(sha256: sha256, seconds: seconds)
            return nil
        } catch {
            return error.code
        }
    }
}
