internal import Foundation
internal import Glibc
internal import Testing

extension MountTests {
    /// What a mount gives back of what was read through it.
    @Suite struct ReseedingTests {
        /// S33: a mount serves what it has verified for as long as it is mounted: another node
        /// reads from it alone, and finds nobody when it is unmounted.
        @Test func reseeding() async throws {
            try await World.with { world in
                let swarm = try await Swarm.make(world, parts: ["0,1"])
                let relay = try await swarm.serve(0)
                let first = try await swarm.mount([relay], state: "first")
                _ = try await world.run("cmp", first.path(swarm.name), swarm.source).succeeded()
                relay.child.send(SIGTERM)
                _ = try await relay.child.finish().succeeded()

                let address = try await world.address("first")
                let second = try await world.mount(
                    "second", [swarm.report.link], peers: [address])
                _ = try await world.run("cmp", second.path(swarm.name), swarm.source).succeeded()
                let served = try await #require(world.status("first").node).upload
                let fetched = try await #require(world.status("second").node).fetchedBytes
                #expect(fetched >= swarm.report.stored && served.bytes >= fetched)
                try await second.unmount(world)

                try await first.unmount(world)
                let third = try await world.mount(
                    "third", [], peers: [address], ["--read-timeout", "2"])
                _ = try await world.petals("third", "add", swarm.report.link).succeeded()
                let status = try await #require(world.status("third").node)
                #expect(status.peers.isEmpty && status.fetchedBytes == 0)
                try await third.unmount(world)
            }
        }

        /// S34: a mount that may send nothing is read by its own user, and by nobody else, until
        /// the limit is lifted while it runs.
        @Test func uploadLimitOfNothing() async throws {
            try await World.with { world in
                let swarm = try await Swarm.make(world, parts: ["0,1"])
                let relay = try await swarm.serve(0)
                let first = try await swarm.mount(
                    [relay], state: "first",
                    ["--upload-limit", "1M", "--upload-times", "00:00-24:00=0"])
                _ = try await world.run("cmp", first.path(swarm.name), swarm.source).succeeded()
                relay.child.send(SIGTERM)
                _ = try await relay.child.finish().succeeded()

                let address = try await world.address("first")
                let second = try await world.mount(
                    "second", [swarm.report.link], peers: [address])
                let read = try world.start(["cmp", second.path(swarm.name), swarm.source])
                try await world.waitForWant("second")
                let upload = try await #require(world.status("first").node).upload
                #expect(upload.limit == 0 && upload.bytes == 0)
                #expect(try await world.status("second").node?.fetchedBytes == 0)
                let told = try await world.petals("first", "status").succeeded()
                #expect(told.contains("nothing is sent"), "\(told)")
                for limit in ["7", "fast"] {
                    let refused = try await world.petals("first", "limit", limit)
                    #expect(refused.code != 0 && refused.errors.contains("limit"), refused.told)
                }
                _ = try await world.petals("first", "limit", "20M").succeeded()
                _ = try await read.finish().succeeded()
                let now = try await #require(world.status("first").node).upload
                #expect(now.limit == 20_000_000 && now.bytes >= swarm.report.stored)
                try await second.unmount(world)
                try await first.unmount(world)
            }
        }

        /// S35: a published file that is touched is not served any more, is told of everywhere, and
        /// is served again when it was looked at.
        @Test func publishedFileThatIsTouched() async throws {
            try await World.with { world in
                let source = try await Samples.noise(world, "model.gguf")
                let link = try await world.petals(
                    "publisher", "publish", source, "--json", "--parity", "none"
                ).decode(PublishReport.self).link
                let publisher = try await world.serve("publisher")
                let reader = try await world.mount("reader", [link], peers: [publisher.address])
                _ = try await world.run("touch", source).succeeded()
                let read = try world.start(["cmp", reader.path("model.gguf"), source])
                try await world.waitForWant("reader")
                for command in [["status"], ["info", "model.gguf"], ["ls"]] {
                    let told = try await world.start(
                        ["petalsfs"] + command + ["--state", world.path("publisher")]
                    ).finish().succeeded()
                    #expect(told.contains("changed"), "\(told)")
                }
                let info = try await world.petals("publisher", "info", "model.gguf").succeeded()
                #expect(info.contains("left to relays"), "\(info)")
                #expect(try await world.status("publisher").node?.servedBytes == 0)
                let lines = publisher.child.errors.split(separator: "\n").filter {
                    $0.contains(source) && $0.contains("publish it again")
                }
                #expect(lines.count == 1, "\(lines)")
                _ = try await world.petals("publisher", "verify").succeeded()
                _ = try await read.finish().succeeded()
                try await reader.unmount(world)
            }
        }
    }
}

extension World {
    /// The address at which a running node listens.
    fileprivate func address(_ state: String) async throws -> String {
        try String(contentsOfFile: path(state) + "/listen", encoding: .utf8)
            .trimmingCharacters(in: .whitespacesAndNewlines)
    }
}
