internal import Foundation
internal import Testing

extension MountTests {
    /// S32: nodes that know nothing of each other but one node of a private DHT.
    ///
    /// One loopback address each, since a DHT takes what comes from one address for one node.
    struct HashTableTests {
        @Test func threeNodesMeetWithoutBeingIntroduced() async throws {
            try await World.with { world in
                let path = try await Samples.noise(world, "model.gguf", bytes: 1_000_003)
                let link = try await world.petals("publisher", "publish", path, "--json")
                    .decode(PublishReport.self).link
                _ = try await world.serve(
                    "publisher", at: "127.0.0.2:0", "--no-lan", "--dht-private")
                let first = try #require(try await world.status("publisher").node?.dht)
                let table = try #require(first.listen.first)
                for (state, host) in [("second", "127.0.0.3"), ("third", "127.0.0.4")] {
                    let mounted = try await world.mount(
                        state, [link], peers: [],
                        ["--no-lan", "--dht-listen", "\(host):0", "--dht-bootstrap", table])
                    let file = mounted.path("model.gguf")
                    try await World.wait("the model in the mount") {
                        try await world.run("test", "-s", file).code == 0
                    }
                    #expect(try await world.sha256(file) == world.sha256(path))
                    let node = try #require(try await world.status(state).node)
                    #expect(node.peers.contains { $0.origin == "dht" }, "\(node)")
                    #expect((node.dht?.nodes ?? 0) > 0)
                }
            }
        }

        /// A follower that has a catalogue's link, and nothing but a node of the hash table to
        /// begin with, shows what is listed, and reads it.
        @Test func aCatalogueIsFollowedByTheHashTableAlone() async throws {
            try await World.with { world in
                let path = try await Samples.noise(world, "model.gguf", bytes: 1_000_003)
                _ = try await world.petals("publisher", "publish", path).succeeded()
                let link = try await world.petals("publisher", "catalog", "create", "Models")
                    .succeeded().trimmingCharacters(in: .whitespacesAndNewlines)
                #expect(!link.contains("peer="), "the link names nobody: \(link)")
                _ = try await world.petals(
                    "publisher", "catalog", "add", "Models", "model.gguf", "--name", "listed"
                ).succeeded()
                _ = try await world.serve(
                    "publisher", at: "127.0.0.12:0", "--no-lan", "--dht-private")
                let table = try #require(
                    try await world.status("publisher").node?.dht?.listen.first)
                _ = try await world.petals("reader", "catalog", "follow", link).succeeded()
                let mounted = try await world.mount(
                    "reader", [], peers: [],
                    ["--no-lan", "--dht-listen", "127.0.0.13:0", "--dht-bootstrap", table])
                let file = mounted.path("listed")
                try await World.wait("the entry in the mount") {
                    try await world.run("test", "-s", file).code == 0
                }
                #expect(try await world.sha256(file) == world.sha256(path))
                let node = try #require(try await world.status("reader").node)
                #expect(node.peers.contains { $0.origin == "dht" }, "\(node)")
                try await mounted.unmount(world)
            }
        }

        @Test func theHashTableHasRules() async throws {
            try await World.with { world in
                for wrong in [
                    ["--no-dht", "--dht-private"],
                    ["--lan-only", "--dht-bootstrap", "127.0.0.1:1"],
                    ["--no-lan", "--dht-listen", "nowhere"],
                ] {
                    let child = try world.start(
                        ["petalsfs", "serve", "--state", world.path("node")] + wrong)
                    let finished = try await child.finish()
                    #expect(finished.code != 0, "\(wrong)")
                    #expect(
                        finished.errors.contains("--dht") || finished.errors.contains("nowhere"))
                }
            }
        }
    }
}
