internal import Foundation
internal import Glibc
internal import Testing

extension MountTests {
    /// What a donor process gives because of a catalogue, and gives up with it.
    @Suite struct DonatingTests {
        /// Bytes of shards that a node holds for others.
        private func held(_ world: World, _ state: String) async throws -> Int {
            try await world.status(state).store["held"] ?? 0
        }

        /// What a node holds for others.
        private func rows(_ world: World, _ state: String) async throws -> [ModelReport] {
            try await world.petals(state, "ls", "--json").decode([ModelReport].self)
                .filter { $0.origin == "held" }
        }

        /// Unfollowing ends donating to what only the catalogue named, at once and for good.
        ///
        /// Its shards go from the disk; what a person named stays, though it was listed too.
        @Test func unfollowingEndsWhatOnlyTheCatalogueNamed() async throws {
            try await World.with { world in
                let listed = try await Samples.noise(world, "listed.gguf", bytes: 1_000_000)
                _ = try await world.publish(listed)
                let named = try await Samples.noise(world, "named.gguf", bytes: 700_000, seed: 2)
                let report = try await world.publish(named)
                let link = try await world.petals("publisher", "catalog", "create", "One")
                    .succeeded().trimmingCharacters(in: .whitespacesAndNewlines)
                for name in ["listed.gguf", "named.gguf"] {
                    _ = try await world.petals("publisher", "catalog", "add", "One", name)
                        .succeeded()
                }
                let publisher = try await world.serve("publisher")
                func donate(_ more: String...) async throws -> Relay {
                    try await world.serve(
                        "donor",
                        with: ["--donate", "100M", "--peer", publisher.address] + more
                            + [report.relay])
                }
                let donor = try await donate("--follow", link)
                try await World.wait("a shard of either model to be held") {
                    let rows = try await self.rows(world, "donor")
                    return rows.count == 2 && rows.allSatisfy { $0.cached > 0 }
                }

                _ = try await world.petals("donor", "catalog", "unfollow", "One").succeeded()
                let left = try await rows(world, "donor")
                #expect(left.map(\.manifest) == [report.manifest], "\(left)")
                #expect(left.allSatisfy { $0.cached > 0 }, "what a person named stays")
                try await World.wait("nothing else to be held") {
                    try await self.held(world, "donor") == self.rows(world, "donor")[0].cached
                }

                // A restart brings nothing back, though the publisher is there and has it.
                donor.child.send(SIGTERM)
                _ = try await donor.child.finish().succeeded()
                _ = try await donate()
                try await World.wait("the donor to have met the publisher") {
                    try await world.status("donor").node?.peers.isEmpty == false
                }
                let again = try await rows(world, "donor")
                #expect(again.map(\.manifest) == [report.manifest], "\(again)")
                let held = try await held(world, "donor")
                #expect(held == again.first?.cached)
                // Some blocks of the disk are not whole.
                #expect(try await world.shardBytes("donor") <= held + 65_536)
            }
        }
    }
}
