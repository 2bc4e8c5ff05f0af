import PetalsCodec
import PetalsCore
import PetalsStore
import PetalsTesting
import Synchronization
import Testing

@testable import ShardFetch

extension Swarms {
    /// What a reader gets, whoever is there: every byte of the source, or a wait that can be ended.
    @Suite(.serialized) struct ReadingTests {
        /// Two full rows and a short one, of three data and two parity shards.
        static let blob = Result {
            try SampleBlob(
                seed: 35, size: 3 * 2 * Limits.cellBytes + 150_001, dataShards: 3, groupShards: 5)
        }

        private func holders(_ swarm: Swarm, _ blob: SampleBlob) async throws -> [LoopbackNode] {
            var nodes: [LoopbackNode] = []
            for shard in blob.shards {
                nodes.append(
                    try await swarm.start { try blob.install(in: $0.store, shards: [shard]) })
            }
            return nodes
        }

        /// All ten ways to lose two of five single-shard holders.
        @Test func anyThreeOfFiveShardsAreEnough() async throws {
            let blob = try Self.blob.get()
            try await withSwarm { swarm in
                let nodes = try await holders(swarm, blob)
                for first in 0..<5 {
                    for second in first + 1..<5 {
                        let there = nodes.indices.filter { $0 != first && $0 != second }
                        let reader = try await swarm.start(peers: there.map { nodes[$0] })
                        let bytes = try await reader.readAll(blob.record)
                        #expect(bytes == blob.plain, "without \(first) and \(second)")
                        let rebuilt = reader.node.status().rebuiltCells
                        #expect(rebuilt >= (first < 3 ? 3 : 0) + (second < 3 ? 3 : 0))
                        await swarm.stop(reader)
                    }
                }
            }
        }

        @Test func twoHoldersOfThreeMakeTheReadWaitAndAThirdEndsTheWait() async throws {
            let blob = try Self.blob.get()
            try await withSwarm { swarm in
                let nodes = try await holders(swarm, blob)
                let reader = try await swarm.start(peers: [nodes[1], nodes[4]])
                let done = Atomic<Bool>(false)
                async let bytes = {
                    defer { done.store(true, ordering: .releasing) }
                    return try await reader.readAll(blob.record)
                }()
                // Everything that two shards have is here, and the read still waits.
                let isStuck = await eventually {
                    reader.node.engine.state.withLock { !$0.scheduler.stuckKeys.isEmpty }
                }
                #expect(isStuck)
                let isDone = done.load(ordering: .acquiring)
                #expect(!isDone)
                reader.node.dial([nodes[2].endpoint])
                let read = try await bytes
                #expect(read == blob.plain)
            }
        }

        @Test func aWaitingReadThatIsCancelledEndsAtOnce() async throws {
            let blob = try Self.blob.get()
            try await withSwarm { swarm in
                let nodes = try await holders(swarm, blob)
                let reader = try await swarm.start(peers: [nodes[1], nodes[4]])
                try await reader.node.warm(blob.record)
                let read = Task { await reader.failure(of: blob.record) }
                let isStuck = await eventually {
                    reader.node.engine.state.withLock { !$0.scheduler.stuckKeys.isEmpty }
                }
                #expect(isStuck)
                read.cancel()
                #expect(await read.value == .cancelled)
                let tickets = reader.node.engine.state.withLock { $0.tickets.count }
                #expect(tickets == 0)
            }
        }

        /// Nobody has the descriptor; the read waits in another place.
        @Test(arguments: [false, true])
        func aReadThatWaitsForTheDescriptorCanBeCancelled(_ hasPeer: Bool) async throws {
            let blob = try Self.blob.get()
            try await withSwarm { swarm in
                // Greets and never answers anything.
                let silent = try await RawServer.start { _, _ in }
                let reader = try await swarm.start(peers: [])
                if hasPeer {
                    reader.node.dial([silent.endpoint])
                    let isConnected = await eventually { reader.node.peerCount == 1 }
                    #expect(isConnected)
                }
                for _ in 0..<20 {
                    let read = Task { await reader.failure(of: blob.record) }
                    await Task.yield()
                    read.cancel()
                    #expect(await read.value == .cancelled)
                }
                await silent.stop()
            }
        }

        @Test func holdersThatDieInMidRead() async throws {
            let blob = try SampleBlob(seed: 3, size: 2_500_000, dataShards: 3, groupShards: 5)
            try await withSwarm { swarm in
                let nodes = try await holders(swarm, blob)
                let reader = try await swarm.start(peers: nodes)
                let file = reader.node.reader(for: blob.record)
                var read: [UInt8] = []
                while read.count < blob.plain.count {
                    let end = min(read.count + 200_000, blob.plain.count)
                    read += try await file.read(read.count..<end)
                    if read.count == 600_000 { await swarm.stop(nodes[0]) }
                    if read.count == 1_000_000 { await swarm.stop(nodes[3]) }
                }
                #expect(read == blob.plain)
            }
        }

        /// Several threads at random places of one file, some of them interrupted.
        @Test func manyReadersAtOnce() async throws {
            let blob = try SampleBlob(seed: 5, size: 3_000_000, dataShards: 2, groupShards: 4)
            try await withSwarm { swarm in
                let nodes = try await holders(swarm, blob)
                let reader = try await swarm.start(peers: [nodes[0], nodes[2], nodes[3]])
                let file = reader.node.reader(for: blob.record)
                await withTaskGroup { group in
                    for seed in 0..<16 as Range<UInt64> {
                        group.addTask {
                            var generator = SeededGenerator(seed: seed)
                            for _ in 0..<8 {
                                let start = Int.random(in: 0..<2_900_000, using: &generator)
                                let end = start + Int.random(in: 1...100_000, using: &generator)
                                let task = Task { try await file.read(start..<end) }
                                if seed == 15 { task.cancel() }
                                // One that was cancelled may have nothing.
                                guard let bytes = try? await task.value else {
                                    #expect(seed == 15)
                                    continue
                                }
                                #expect(bytes == Array(blob.plain[start..<end]), "seed \(seed)")
                            }
                        }
                    }
                }
                let left = reader.node.engine.state.withLock { $0.tickets.count }
                #expect(left == 0, "no ticket stays behind")
                let isIdle = await eventually { reader.node.status().wantedCells == 0 }
                #expect(isIdle)
                reader.node.engine.state.withLock { state in
                    #expect(state.scheduler.requests.isEmpty)
                    #expect(state.scheduler.bulkBytes == 0)
                }
            }
        }

        @Test func aReaderThatStartsAgainFetchesOnlyWhatItLacks() async throws {
            let blob = try SampleBlob(seed: 6, size: 2_000_000, dataShards: 2, groupShards: 4)
            try await withSwarm { swarm in
                let holder = try await swarm.start {
                    try blob.install(in: $0.store, shards: blob.shards)
                }
                let first = try await swarm.start(peers: [holder])
                let half = 4 * Limits.cellBytes
                let start = try await first.node.reader(for: blob.record).read(0..<half)
                #expect(start == Array(blob.plain[..<half]))
                let fetchedFirst = first.node.status().fetchedBytes
                await swarm.stop(first)

                var options = LoopbackNode.Options()
                options.folder = first.folder
                let second = try await swarm.start(options)
                let again = try await second.node.reader(for: blob.record).read(0..<half)
                #expect(again == start, "from the disk, with no peer")
                second.node.dial([holder.endpoint])
                #expect(try await second.readAll(blob.record) == blob.plain)
                let fetched = fetchedFirst + second.node.status().fetchedBytes
                let needed = blob.geometry.pieces(of: 0..<blob.plain.count)
                    .reduce(0) { $0 + $1.leaves.count * Limits.leafBytes }
                #expect(fetched == needed, "no byte twice")
            }
        }

        @Test func aRecordThatDoesNotFitItsBlobIsRefused() async throws {
            let blob = try Self.blob.get()
            let other = try SampleBlob(seed: 9, size: 100_000, dataShards: 1, groupShards: 3)
            try await withSwarm { swarm in
                let holder = try await swarm.start {
                    try blob.install(in: $0.store, shards: blob.shards)
                }
                let reader = try await swarm.start(peers: [holder])
                func record(size: Int, key: SecretKey) throws -> FileRecord {
                    FileRecord(
                        size: size, sha256: blob.record.sha256,
                        frames: try FrameTable(size: size, codec: .raw, lengths: []),
                        blobID: blob.id, blobKey: key)
                }
                let long = try record(size: blob.plain.count + 1, key: blob.record.blobKey)
                let foreign = try record(size: blob.plain.count, key: other.record.blobKey)
                // Before and after the blob is known here.
                #expect(await reader.failure(of: foreign, 0..<10) == .corrupt)
                #expect(await reader.failure(of: long, 0..<10) == .corrupt)
                #expect(await reader.failure(of: foreign, 0..<10) == .corrupt)
                #expect(try await reader.readAll(blob.record) == blob.plain)
            }
        }

        /// Topics change every day, and connections last for weeks.
        @Test func aConnectionOutlivesItsTopics() async throws {
            let blob = try Self.blob.get()
            try await withSwarm { swarm in
                let day = Today()
                var options = LoopbackNode.Options()
                options.day = { day.value.load(ordering: .relaxed) }
                let holder = try await swarm.start(options) {
                    try blob.install(in: $0.store, shards: [ShardIndex(0)])
                }
                let second = try blob.install(in: holder.store, shards: [ShardIndex(0)])
                options.peers = [holder.endpoint]
                let reader = try await swarm.start(options)
                let file = reader.node.reader(for: blob.record)
                #expect(try await file.read(0..<1000) == Array(blob.plain[..<1000]))
                day.value.wrappingAdd(9, ordering: .relaxed)
                // What the holder gets now must be told, too.
                for cell in blob.cells.values where blob.geometry.isData(cell.address.shard) {
                    try second.write(cell)
                }
                #expect(try await file.read(0..<blob.plain.count) == blob.plain)
            }
        }

        /// More files at once than topics on a connection.
        @Test func aHundredFilesAreReadAtOnce() async throws {
            let blobs = try (0..<100).map {
                try SampleBlob(seed: 1000 + $0, size: 17_000, dataShards: 1, groupShards: 2)
            }
            try await withSwarm { swarm in
                let holder = try await swarm.start { node in
                    for blob in blobs { try blob.install(in: node.store, shards: [ShardIndex(1)]) }
                }
                let reader = try await swarm.start(peers: [])
                await withTaskGroup { group in
                    for blob in blobs {
                        group.addTask {
                            let bytes = try? await reader.readAll(blob.record)
                            #expect(bytes == blob.plain)
                        }
                    }
                    reader.node.dial([holder.endpoint])
                }
            }
        }

        @Test func aModelThatIsRemovedEndsItsReads() async throws {
            let blob = try Self.blob.get()
            try await withSwarm { swarm in
                let holder = try await swarm.start {
                    try blob.install(in: $0.store, shards: [ShardIndex(1)])
                }
                let reader = try await swarm.start(peers: [holder])
                let file = reader.node.reader(for: blob.record)
                let waiting = Task { () -> PetalsError.Code? in
                    do throws(PetalsError) {
                        _ = try await file.read(0..<1000)
                        return nil
                    } catch {
                        return error.code
                    }
                }
                let waits = await eventually {
                    reader.node.engine.state.withLock { !$0.tickets.isEmpty }
                }
                #expect(waits)
                reader.node.forget([blob.id])
                try reader.store.remove(blobs: [blob.id])
                #expect(await waiting.value == .notFound)
                await #expect(throws: PetalsError.self) { try await file.read(0..<1000) }
            }
        }

        /// Peers have said what they hold; when the model comes back they are asked once more.
        @Test func aModelThatWasRemovedAndAddedAgainIsRead() async throws {
            let blob = try Self.blob.get()
            try await withSwarm { swarm in
                let holder = try await swarm.start {
                    try blob.install(in: $0.store, shards: blob.shards)
                }
                let reader = try await swarm.start(peers: [holder])
                for round in 0..<3 {
                    #expect(try await reader.readAll(blob.record) == blob.plain, "round \(round)")
                    let joined = reader.node.engine.state.withLock { $0.joined.values.map(\.count) }
                    #expect(joined == [1])
                    reader.node.forget([blob.id])
                    try reader.store.remove(blobs: [blob.id])
                }
            }
        }
    }
}

/// A day that a test can let pass.
private final class Today: Sendable {
    let value = Atomic<UInt32>(20_000)
}
