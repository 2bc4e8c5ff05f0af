import Foundation
import PetalsCodec
import PetalsCore
import PetalsStore
import PetalsTesting
import Synchronization
import Testing

@testable import ShardFetch

extension Swarms {
    /// From a folder to a swarm: publish, hold, read, publish again.
    @Suite(.serialized) struct PublishingTests {
        /// Publishes on a node, and lets its peers find the blobs.
        private func publish(
            _ path: String, on node: LoopbackNode,
            _ change: (inout Publisher.Options) -> Void = { _ in }
        ) throws -> Publisher.Publication {
            var options = Publisher.Options()
            options.shards = (data: 2, group: 4)
            change(&options)
            return try Publisher(store: node.store, signer: node.node.identity.signing) {
                node.node.announce($0)
            }.publish(path: path, options: options) { _, _ in }
        }

        private func records(_ publication: Publisher.Publication) -> [String: FileRecord] {
            var records: [String: FileRecord] = [:]
            for entry in publication.manifest.entries {
                if case .record(let record) = entry.content {
                    records[entry.path.description] = record
                }
            }
            return records
        }

        /// A relay holds one shard of each blob, as `petalsfs hold` does, and the manifest.
        private func hold(
            _ publication: Publisher.Publication, on relay: LoopbackNode, shard: Int
        ) async throws {
            guard case .relay(let key) = publication.relayCap.capability else {
                Issue.record("a relay cap is a relay cap")
                return
            }
            let sealed = try await relay.node.fetchManifest(
                publication.manifestID, relayKey: key)
            try relay.store.registry.storeManifest(sealed, id: publication.manifestID)
            let outer = try ManifestSealing.openOuter(
                sealed, relayKey: key, id: publication.manifestID)
            for grant in outer.grants {
                let session = try await relay.node.open(grant.blobID, relayKey: grant.relayKey)
                let shards = [ShardIndex(shard)]
                try relay.store.setClass(.held, of: shards, blob: grant.blobID)
                try await relay.node.fetchWhole(session, shards: shards) { _ in }
            }
        }

        /// The publisher leaves the parity to others: whoever holds it makes it, from what the
        /// publisher serves, and it is what the publisher would have stored.
        @Test func relaysMakeTheParityThatThePublisherLeavesOut() async throws {
            var generator = SeededGenerator(seed: 8)
            let bytes = generator.bytes(1_300_000)
            try await withSwarm { swarm in
                let source = try TemporaryFolder()
                try source.write(bytes, to: "m.bin")
                let publisher = try await swarm.start()
                let full = try await swarm.start()
                let publication = try publish(source.path + "/m.bin", on: publisher) {
                    $0.parity = .none
                }
                let same = try publish(source.path + "/m.bin", on: full)
                #expect(records(same) == records(publication))
                #expect(publisher.store.usage().total == 0)
                let relay = try await swarm.start(peers: [publisher])
                let record = try #require(records(publication).values.first)
                let made = try #require(full.store.blob(record.blobID))
                for shard in made.geometry.shards where !made.geometry.isData(shard) {
                    try await hold(publication, on: relay, shard: shard.rawValue)
                    let held = try #require(relay.store.blob(record.blobID))
                    for cell in 0..<held.geometry.cellCount(of: shard) {
                        let address = CellAddress(shard: shard, cell: CellIndex(cell))
                        let all = 0..<held.geometry.leafCount(address)
                        let leaves = try #require(try held.read(address, leaves: all))
                        #expect(try made.read(address, leaves: all)?.bytes == leaves.bytes)
                    }
                }
                #expect(relay.node.status().rebuiltCells > 0)
            }
        }

        /// The publisher goes, the relays give everything back, and know nothing of what they hold.
        @Test func relaysHoldWhatTheyCannotRead() async throws {
            var generator = SeededGenerator(seed: 1)
            let name = "quokka-weights-of-a-secret-name.bin"
            let weights = generator.bytes(900_000)
            // Compresses: another codec, and text that would be seen at once.
            let sentence = "The quick brown quokka jumps over \(generator.next()). "
            let text = Array(String(repeating: sentence, count: 4000).utf8)
            try await withSwarm { swarm in
                let source = try TemporaryFolder()
                try source.write(weights, to: "model/" + name)
                try source.write(text, to: "model/corpus.txt")
                try source.write(Array("{\"secret\": \"zanzibar\"}".utf8), to: "model/config.json")
                let publisher = try await swarm.start()
                let publication = try publish(source.path + "/model", on: publisher) {
                    $0.isPrivate = true
                }
                var relays: [LoopbackNode] = []
                for shard in 1..<4 {
                    let relay = try await swarm.start(peers: [publisher])
                    try await hold(publication, on: relay, shard: shard)
                    relays.append(relay)
                }
                await swarm.stop(publisher)

                let reader = try await swarm.start(peers: relays)
                guard case .read(let key) = publication.link.capability else { return }
                let sealed = try await reader.node.fetchManifest(
                    publication.manifestID, relayKey: KeyDerivation.relayKey(of: key))
                let opened = try ManifestSealing.openInner(
                    sealed, readKey: key, id: publication.manifestID)
                #expect(opened.manifest == publication.manifest)
                for (path, record) in records(publication) {
                    let bytes = try await reader.readAll(record)
                    #expect(bytes == (path == name ? weights : text), "\(path)")
                    #expect(sha256(bytes) == record.sha256)
                }
                for relay in relays {
                    await swarm.stop(relay)
                    let known = Needles(of: weights + text)
                    for file in try relay.folder.files() {
                        let bytes = try relay.folder.read(file)
                        #expect(!known.occur(in: bytes), "plaintext in \(file)")
                        for word in [name, "corpus.txt", "config.json", "zanzibar"] {
                            let isThere = Data(bytes).range(of: Data(word.utf8)) != nil
                            #expect(!isThere && !file.contains(word), "“\(word)” in \(file)")
                        }
                    }
                }
            }
        }

        /// The search above finds what it looks for.
        @Test func aPlantedRunOfPlaintextIsFound() {
            var generator = SeededGenerator(seed: 4)
            let plain = generator.bytes(10_000)
            let needles = Needles(of: plain)
            let noise = generator.bytes(5000)
            #expect(!needles.occur(in: noise))
            for start in [0, 1, 17, 4711, 9952] {
                #expect(needles.occur(in: noise + plain[start..<start + 48] + noise))
            }
        }

        @Test func theSameFileUnderTwoNamesIsOneSwarm() async throws {
            var generator = SeededGenerator(seed: 2)
            let weights = generator.bytes(1_200_000)
            try await withSwarm { swarm in
                let source = try TemporaryFolder()
                try source.write(weights, to: "a/deep/model.bin")
                try source.write(generator.bytes(100), to: "a/readme")
                let second = try source.write(weights, to: "other-name.gguf")
                let one = try await swarm.start()
                let two = try await swarm.start()
                let tree = try publish(source.path + "/a", on: one)
                let file = try publish(second, on: two)
                let hidden = try publish(second, on: two) {
                    $0.isPrivate = true
                    $0.name = "hidden"
                }
                let record = try #require(records(tree)["deep/model.bin"])
                let same = try #require(records(file).values.first)
                let other = try #require(records(hidden).values.first)
                #expect(record == same)
                #expect(other.blobID != record.blobID && other.blobKey != record.blobKey)
                #expect(tree.manifestID != file.manifestID)

                let reader = try await swarm.start(peers: [one, two])
                let both = await eventually { reader.node.peerCount == 2 }
                #expect(both)
                try await reader.node.warm(record)
                let isKnown = await eventually {
                    guard let session = reader.node.engine.openedSession(record.blobID) else {
                        return false
                    }
                    return reader.node.engine.state.withLock {
                        $0.scheduler.holderCount(session.key(ShardIndex(0))) == 2
                    }
                }
                #expect(isKnown)
                #expect(try await reader.readAll(record) == weights)
                let served = [one, two].map { $0.node.status().servedBytes }
                #expect(served.allSatisfy { $0 > 0 }, "\(served)")
            }
        }

        /// A new version with another README: nothing is sealed again, and nothing fetched.
        @Test func aSecondVersionReusesWhatDidNotChange() async throws {
            var generator = SeededGenerator(seed: 3)
            let raw = generator.bytes(700_000)
            let text = Array(
                String(repeating: "again and again \(generator.next()) ", count: 9000).utf8)
            try await withSwarm { swarm in
                let source = try TemporaryFolder()
                try source.write(raw, to: "m/raw.bin")
                try source.write(text, to: "m/text.txt")
                try source.write([1, 2, 3], to: "m/README")
                let publisher = try await swarm.start()
                let first = try publish(source.path + "/m", on: publisher)
                let reader = try await swarm.start(peers: [publisher])
                for record in records(first).values { _ = try await reader.readAll(record) }
                let before = try Self.stored(publisher)
                let changes = publisher.store.allBlobs().map(\.changes)
                let fetched = reader.node.status().fetchedBytes
                let served = publisher.node.status().servedBytes

                try source.write([4, 5], to: "m/README")
                let second = try publish(source.path + "/m", on: publisher)
                #expect(second.manifestID != first.manifestID)
                #expect(second.reusedFiles == 2)
                #expect(records(second) == records(first))
                #expect(try Self.stored(publisher) == before, "nothing is sealed again")
                #expect(publisher.store.allBlobs().map(\.changes) == changes)
                guard case .relay(let key) = second.relayCap.capability else { return }
                let sealed = try await reader.node.fetchManifest(
                    second.manifestID, relayKey: key)
                #expect(sha256(sealed) == second.manifestID)
                for record in records(second).values {
                    let bytes = try await reader.readAll(record)
                    #expect(sha256(bytes) == record.sha256)
                }
                #expect(reader.node.status().fetchedBytes == fetched)
                #expect(publisher.node.status().servedBytes == served)
            }
        }

        /// Every file of the blobs' folders with the time of its last change.
        private static func stored(_ node: LoopbackNode) throws -> [String: Date] {
            var times: [String: Date] = [:]
            for file in try node.folder.files() where file.contains("blobs/") {
                let attributes = try FileManager.default.attributesOfItem(
                    atPath: node.folder.path + "/" + file)
                times[file] = attributes[.modificationDate] as? Date
            }
            return times
        }

        /// What a changed file would give is not given: the reader waits for somebody who has it.
        @Test func aPublishedFileThatChangesIsNotServed() async throws {
            var generator = SeededGenerator(seed: 8)
            let weights = generator.bytes(600_000)
            try await withSwarm { swarm in
                let source = try TemporaryFolder()
                let path = try source.write(weights, to: "w.bin")
                let publisher = try await swarm.start()
                let record = try #require(records(try publish(path, on: publisher)).values.first)
                let relay = try await swarm.start(peers: [publisher])
                _ = try await relay.readAll(record)
                var changed = weights
                changed[300_000] ^= 1
                try source.write(changed, to: "w.bin")
                let reader = try await swarm.start(peers: [publisher])
                async let bytes = reader.readAll(record)
                reader.node.dial([relay.endpoint])
                let read = try await bytes
                #expect(read == weights)
                #expect(!reader.blames(publisher.node.identity.peerID), "it did not lie")
            }
        }
    }
}

/// Looks for any run of 48 bytes of a text: each contains a whole aligned block of 24 bytes, and
/// that begins with 8 bytes which no other data has by chance.
private struct Needles {
    private let words: Set<UInt64>

    init(of plain: [UInt8]) {
        words = Set(
            stride(from: 0, to: plain.count - 24, by: 24).map { start in
                plain[start..<start + 8].reduce(0) { $0 << 8 | UInt64($1) }
            })
    }

    func occur(in bytes: [UInt8]) -> Bool {
        var word: UInt64 = 0
        for (position, byte) in bytes.enumerated() {
            word = word << 8 | UInt64(byte)
            if position >= 7, word != 0, words.contains(word) { return true }
        }
        return false
    }
}
