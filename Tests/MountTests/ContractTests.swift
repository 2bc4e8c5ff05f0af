internal import Foundation
internal import Glibc
internal import Testing

extension MountTests {
    /// What scripts rely on: documents, outputs, exit codes.
    @Suite struct ContractTests {
        @Test func jsonDocuments() async throws {
            try await World.with { world in
                let source = try await Samples.noise(world, "model.gguf")
                let publish = try await world.petals(
                    "publisher", "publish", source, "--json", "--license", "MIT", "--shards",
                    "2/4", "--name", "named.gguf")
                #expect(publish.output.split(separator: "\n").count == 1, publish.told)
                let report = try publish.decode(PublishReport.self)
                #expect(report.name == "named.gguf" && report.size == 4_000_037)
                #expect(report.link.hasPrefix("petals:r1:") && report.relay.hasPrefix("petals:v1:"))
                #expect(report.files.map(\.path) == ["model.gguf"])
                #expect(try await world.sha256(source) == report.files[0].sha256)
                #expect(report.files[0].blob?.count == 64 && report.manifest.count == 64)

                let plain = try await world.petals(
                    "publisher", "publish", source, "--name", "again")
                #expect(plain.text.split(separator: "\n").last?.hasPrefix("petals:r1:") == true)
                _ = try await world.petals("publisher", "rm", "again").succeeded()

                let publisher = try await world.serve("publisher")
                let hold = try await world.petals(
                    "relay0", "hold", report.relay, "--shards", "0,3", "--peer", publisher.address,
                    "--json"
                ).decode(HoldReport.self)
                #expect(hold.shards == 2 && hold.blobs == 1 && hold.manifest == report.manifest)
                #expect(hold.bytes > 4_000_037)
                let held = try await world.petals("relay0", "ls", "--json")
                #expect(try held.decode([ModelReport].self).map(\.origin) == ["held"], held.told)

                let add = try await world.petals("reader", "add", "-", "--json", input: report.link)
                #expect(try add.decode(ModelReport.self).pending, add.told)
                let mounted = try await world.mount("reader", [], peers: [publisher.address])
                let info = try await world.petals("reader", "info", "named.gguf", "--json")
                let details = try info.decode(InfoReport.self)
                #expect(details.summary.license == "MIT" && details.summary.format == "gguf")
                #expect(details.files == report.files)
                let status = try await world.status("reader")
                #expect(status.mount == mounted.directory && status.models == 1)
                #expect(status.node?.peers.map(\.address) == [publisher.address])
                let free = try #require(status.diskFree)
                #expect(free > 0 && status.cacheSize == nil)
                #expect(status.cacheFree > 0 && status.cacheFree <= 1 << 30)
                let verify = try await world.petals("reader", "verify", "--json")
                #expect(try verify.decode(VerifyReport.self).clean)
                _ = try await world.petals("reader", "prefetch", "named.gguf", "--wait").succeeded()
                let models = try await world.petals("reader", "ls", "--json")
                #expect(try models.decode([ModelReport].self).map(\.cached) == [4_030_464])
                try await mounted.unmount(world)
                #expect(mounted.child.output == "ready\n")
            }
        }

        /// Wrong usage is 2, everything else that fails is 1 (`BadInputTests`).
        @Test func unknownCommand() async throws {
            try await World.with { world in
                expectRefusal(
                    try await world.run("petalsfs", "fetch"), saying: "Unexpected", code: 2)
            }
        }

        /// S19: `--background` returns when the mount answers; `umount` ends it.
        @Test func background() async throws {
            try await World.with { world in
                let swarm = try await Swarm.make(world, parts: ["0,1"])
                let relay = try await swarm.serve(0)
                let directory = try world.makeFolder("mnt-back")
                let mount = try await world.petals(
                    "reader", "mount", directory, swarm.report.link, "--background", "--peer",
                    relay.address, "--listen", "127.0.0.1:0")
                #expect(mount.code == 0 && mount.output == "ready\n", mount.told)
                let same = try await world.run("cmp", "\(directory)/\(swarm.name)", swarm.source)
                #expect(same.code == 0, same.told)
                let umount = try await world.petals("reader", "umount", directory)
                #expect(umount.code == 0, umount.told)
                #expect(try await world.mounts(at: directory) == 0)
                #expect(try await world.shardBytes("reader") == 0)
            }
        }

        /// A model that is published, added and removed while a mount runs comes and goes in it.
        @Test func modelsComeAndGo() async throws {
            try await World.with { world in
                let swarm = try await Swarm.make(world, parts: ["0,1"])
                let relay = try await swarm.serve(0)
                let mounted = try await world.mount("reader", [], peers: [relay.address])
                #expect(try await world.run("ls", "-A", mounted.directory).text == "")
                _ = try await world.petals("reader", "add", "-", input: swarm.report.link)
                    .succeeded()
                try await World.wait("the model to appear") {
                    try await world.run("ls", mounted.directory).text == swarm.name
                }
                let same = try await world.run("cmp", mounted.path(swarm.name), swarm.source)
                #expect(same.code == 0, same.told)
                let own = try await Samples.noise(world, "own.gguf", bytes: 90_000)
                _ = try await world.petals("reader", "publish", own).succeeded()
                let published = try await world.run("cmp", mounted.path("own.gguf"), own)
                #expect(published.code == 0, published.told)
                _ = try await world.petals("reader", "rm", swarm.name).succeeded()
                #expect(try await world.run("ls", mounted.directory).text == "own.gguf")
                try await mounted.unmount(world)
            }
        }
    }
}
