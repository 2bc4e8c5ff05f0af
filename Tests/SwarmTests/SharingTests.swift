import PetalsCore
import PetalsTesting
import Testing

@testable import ShardFetch

extension Swarms {
    /// Many readers of one file at the same time.
    @Suite(.serialized) struct SharingTests {
        /// Eight readers, each with its own read-ahead, from two holders: what one fetches the
        /// others do not, to the byte, but for what a late holder made somebody ask again.
        @Test(arguments: 0..<6) func everyByteIsFetchedOnce(seed: UInt64) async throws {
            // Whole cells, so that what is fetched has the size of the file.
            let size = 12 * Limits.cellBytes
            let blob = try SampleBlob(seed: seed, size: size, dataShards: 2, groupShards: 3)
            try await withSwarm { swarm in
                let nodes = [
                    try await swarm.start { try blob.install(in: $0.store, shards: blob.shards) },
                    try await swarm.start { try blob.install(in: $0.store, shards: blob.shards) },
                ]
                let reader = try await swarm.start(peers: nodes)
                try await withThrowingTaskGroup(of: Bool.self) { group in
                    for _ in 0..<8 {
                        group.addTask { try await Self.readInSteps(blob, reader) == blob.plain }
                    }
                    for try await isSame in group { #expect(isSame) }
                }
                let status = reader.node.status()
                #expect(status.fetchedBytes >= size && status.rebuiltCells == 0, "seed \(seed)")
                let surplus = status.fetchedBytes - size
                #expect(surplus <= status.hedgedBytes, "seed \(seed)")
            }
        }

        /// Reads a file as the kernel does, 128 KiB at a time.
        private static func readInSteps(
            _ blob: SampleBlob, _ node: LoopbackNode
        ) async throws -> [UInt8] {
            let reader = node.node.reader(for: blob.record)
            var bytes: [UInt8] = []
            for start in stride(from: 0, to: reader.size, by: 128 << 10) {
                bytes += try await reader.read(start..<min(start + (128 << 10), reader.size))
            }
            return bytes
        }
    }
}
