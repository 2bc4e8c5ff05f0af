import PetalsCore
import PetalsStore
import PetalsTesting
import Testing

@testable import ShardFetch

extension Swarms {
    /// A connection has a bounded number of topics; a donor to more blobs than that has them joined
    /// in turn, and so hears of all.
    @Suite(.serialized) struct TopicTurnTests {
        /// The holder comes when the donor knows all blobs already: only the newest of them are
        /// joined then, and what it has of the others is heard of in their turn or never.
        @Test func everyBlobHasItsTurn() async throws {
            let count = Limits.topicsPerPeerMax + 6
            let blobs = try (0..<count).map {
                try SampleBlob(
                    seed: 500 + UInt64($0), size: 20_000 + $0, dataShards: 1, groupShards: 2)
            }
            let bytes = blobs.reduce(0) { $0 + 2 * $1.geometry.shardLength(ShardIndex(0)) }
            try await withSwarm { swarm in
                let giver = try await swarm.start {
                    // Their descriptors, and not a byte of them.
                    for blob in blobs { try blob.install(in: $0.store, shards: []) }
                }
                let donor = giver.node.startDonating(
                    rules: DonorTests.rules, topicTurnSeconds: 0.5)
                await donor.give(bytes)
                for blob in blobs {
                    try await giver.node.donate(to: blob.id, relayKey: blob.relayKey, as: donor)
                }
                _ = try await swarm.start(peers: [giver]) {
                    for blob in blobs { try blob.install(in: $0.store, shards: blob.shards) }
                }
                @Sendable func lacking() -> [Int] {
                    blobs.indices.filter { index in
                        guard let stored = giver.store.blob(blobs[index].id) else { return true }
                        return !blobs[index].shards.contains { stored.isWhole($0) }
                    }
                }
                let hasAll = await eventually(seconds: 120) { lacking().isEmpty }
                #expect(hasAll, "nothing is held of the blobs \(lacking())")
                await donor.stop()
            }
        }
    }
}
