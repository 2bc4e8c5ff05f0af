import Foundation
import NIOCore
import PetalsCodec
import PetalsCore
import PetalsStore
import PetalsTesting
import Testing

@testable import ShardFetch

extension Swarms {
    /// Public files are found by the SHA-256 of their content, and nothing else is.
    @Suite(.serialized) struct FindingTests {
        /// Longer than a swarm on one machine needs: it ends a test that would hang.
        static let patience = 60.0

        /// Publishes a file of its own; the blobs are announced, and the records offered.
        private func publish(
            _ bytes: [UInt8], on node: LoopbackNode, in folder: TemporaryFolder,
            isPrivate: Bool = false
        ) throws -> Publisher.Publication {
            let name = "f\(UInt32.random(in: 0...UInt32.max))"
            var options = Publisher.Options()
            options.isPrivate = isPrivate
            options.shards = (data: 2, group: 4)
            let publication = try Publisher(
                store: node.store, signer: node.node.identity.signing
            ) {
                node.node.announce($0)
            }.publish(path: try folder.write(bytes, to: name), options: options) { _, _ in }
            node.node.offer(Self.records(publication.manifest))
            return publication
        }

        private static func records(_ manifest: ModelManifest) -> [FileRecord] {
            manifest.entries.compactMap { entry in
                guard case .record(let record) = entry.content else { return nil }
                return record
            }
        }

        /// Asks with a raw client, and gives the record or the refusal.
        private func ask(
            _ node: LoopbackNode, _ sha256: Digest
        ) async throws -> Result<FileRecord, RawRefusal> {
            let client = try await RawPeer.dial(
                node.endpoint, identity: NodeIdentity(seed: Array(repeating: 5, count: 32)))
            defer { client.channel.close(promise: nil) }
            let isGreeted = await eventually { !client.frames.isEmpty }
            #expect(isGreeted)
            client.send(.getRecord(request: 9, sha256: sha256))
            let answer = { @Sendable () -> Result<FileRecord, any Error>? in
                var bytes: [UInt8] = []
                for frame in client.frames {
                    switch frame {
                    case .document(let header, let chunk):
                        bytes += chunk
                        if bytes.count == header.total {
                            return Result { try FileRecord(parsing: bytes) }
                        }
                    case .control(.refuse(9, let reason)):
                        return .failure(RawRefusal(reason: reason))
                    default: break
                    }
                }
                return nil
            }
            let isAnswered = await eventually { answer() != nil }
            #expect(isAnswered)
            switch answer() {
            case .success(let record): return .success(record)
            case .failure(let refusal as RawRefusal): return .failure(refusal)
            case .failure(let error): throw error
            case nil: throw PetalsError(.timedOut, "no answer")
            }
        }

        private func expectUnknown(_ node: LoopbackNode, _ sha256: Digest) async throws {
            let answer = try await ask(node, sha256)
            guard case .failure(let refusal) = answer else {
                Issue.record("it gave \(answer)")
                return
            }
            #expect(refusal.reason == .unknown)
        }

        /// A raw file and one that compresses; and then from a reader, the publisher being gone.
        @Test func publishersAndReadersAnswer() async throws {
            var generator = SeededGenerator(seed: 51)
            let phrase = "to be found \(generator.next()) "
            let text = Array(String(repeating: phrase, count: 9000).utf8)
            let files = [generator.bytes(900_000), text]
            try await withSwarm { swarm in
                let source = try TemporaryFolder()
                let publisher = try await swarm.start()
                var manifests: [ModelManifest] = []
                for file in files {
                    manifests.append(try publish(file, on: publisher, in: source).manifest)
                }
                publisher.node.offer(manifests.flatMap(Self.records))
                let reader = try await swarm.start(peers: [publisher])
                for (file, manifest) in zip(files, manifests) {
                    let record = try await reader.node.findFile(
                        sha256: sha256(file), seconds: Self.patience)
                    #expect(record == Self.records(manifest).first)
                    let bytes = try await reader.readAll(record)
                    #expect(bytes == file)
                    let stored = try #require(reader.store.blob(record.blobID))
                    let isWhole = await eventually { stored.hasAllData }
                    #expect(isWhole)
                    #expect(try stored.readPlaintextDigest(of: record) == record.sha256)
                    // Padding too, which a holder needs and a reader does not.
                    try await reader.node.reader(for: record).prefetch { _ in }
                }
                #expect(Self.records(manifests[1]).first?.frames.codec != .raw)
                // It was told of nothing yet, and gives nothing.
                for file in files { try await expectUnknown(reader, sha256(file)) }
                reader.node.offer(manifests.flatMap(Self.records))
                await swarm.stop(publisher)
                let second = try await swarm.start(peers: [reader])
                for file in files {
                    let record = try await second.node.findFile(
                        sha256: sha256(file), seconds: Self.patience)
                    #expect(try await second.readAll(record) == file)
                }
                // What is not offered any more is not found any more.
                reader.node.offer([])
                for file in files { try await expectUnknown(reader, sha256(file)) }
            }
        }

        /// The node that has the record itself needs nobody.
        @Test func whatIsHereIsFoundHere() async throws {
            var generator = SeededGenerator(seed: 52)
            let file = generator.bytes(300_000)
            try await withSwarm { swarm in
                let source = try TemporaryFolder()
                let node = try await swarm.start()
                let manifest = try publish(file, on: node, in: source).manifest
                let record = try await node.node.findFile(sha256: sha256(file), seconds: 0.1)
                #expect([record] == Self.records(manifest))
            }
        }

        /// A private file is not found, though its publisher is asked for exactly its SHA-256, and
        /// though its record is in the table; nor is an inlined file, nor a stored stream.
        @Test func privateFilesAreNotFound() async throws {
            var generator = SeededGenerator(seed: 53)
            let secret = generator.bytes(700_000)
            let small = generator.bytes(60_000)
            let text = Array(String(repeating: "a stored stream ", count: 9000).utf8)
            try await withSwarm { swarm in
                let source = try TemporaryFolder()
                let publisher = try await swarm.start()
                let hidden = try publish(secret, on: publisher, in: source, isPrivate: true)
                let inlined = try publish(small, on: publisher, in: source)
                let coded = try publish(text, on: publisher, in: source)
                let record = try #require(Self.records(hidden.manifest).first)
                #expect(record.storedSHA256 == nil && record.sha256 == sha256(secret))
                // A careless publisher's record: it claims to be public, and its key is random.
                let careless = FileRecord(
                    size: record.size, sha256: record.sha256, frames: record.frames,
                    blobID: record.blobID, blobKey: record.blobKey, storedSHA256: record.sha256)
                let all = [hidden, inlined, coded].flatMap { Self.records($0.manifest) }
                publisher.node.offer(all + [careless])
                try await expectUnknown(publisher, sha256(secret))
                try await expectUnknown(publisher, sha256(small))
                let stored = try #require(Self.records(coded.manifest).first?.storedSHA256)
                try await expectUnknown(publisher, stored)
                // The same file in the open is found, and the private one stays hidden.
                let open = try publish(secret, on: publisher, in: source)
                publisher.node.offer(all + [careless] + Self.records(open.manifest))
                let answer = try await ask(publisher, sha256(secret)).get()
                #expect([answer] == Self.records(open.manifest))
                #expect(answer.blobID != record.blobID)
            }
        }

        /// A relay holds all of it and has never seen the record.
        @Test func relaysDoNotAnswer() async throws {
            let blob = try SampleBlob(seed: 54, size: 600_000, dataShards: 2, groupShards: 4)
            try await withSwarm { swarm in
                let relay = try await swarm.start {
                    try blob.install(in: $0.store, shards: blob.shards)
                }
                try await expectUnknown(relay, blob.record.sha256)
                let reader = try await swarm.start(peers: [relay])
                let code = await reader.failure(toFind: blob.record.sha256, seconds: 0.5)
                #expect(code == .unavailable)
                #expect(!reader.blames(relay.node.identity.peerID))
                // And a record whose blob is not here is not given.
                let stranger = try await swarm.start()
                stranger.node.offer([blob.record])
                try await expectUnknown(stranger, blob.record.sha256)
            }
        }

        @Test func nobodyToAskIsSaidAtOnce() async throws {
            let blob = try SampleBlob(seed: 55, size: 100_000, dataShards: 1, groupShards: 2)
            let node = try LoopbackNode(.init())
            #expect(await node.failure(toFind: blob.record.sha256, seconds: 3600) == .unavailable)
            await node.stop()
        }

        @Test func aSearchThatIsCancelledEnds() async throws {
            try await withSwarm { swarm in
                let other = try await swarm.start()
                let reader = try await swarm.start(peers: [other])
                let search = Task { await reader.failure(toFind: sha256([1]), seconds: 3600) }
                let isConnected = await eventually { reader.node.peerCount == 1 }
                #expect(isConnected)
                search.cancel()
                #expect(await search.value == .cancelled)
            }
        }
    }
}

/// A peer said no.
private struct RawRefusal: Error {
    let reason: ControlMessage.Refusal
}
