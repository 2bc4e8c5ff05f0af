internal import Foundation
internal import Glibc
internal import Testing

extension MountTests {
    /// The cache by hand: pin, unpin, evict, prefetch.
    @Suite struct PinTests {
        /// What the two data shards of a file of 4,000,037 bytes have, in whole leaves.
        static let storedBytes = 4_030_464

        /// S27: a pinned model stays under pressure on the cache and over unmounts, and reads
        /// without any peer; unpinned, it is cached and goes.
        @Test func pinned() async throws {
            try await World.with { world in
                let kept = try await Samples.noise(world, "kept.gguf")
                let other = try await Samples.noise(world, "other.gguf", seed: 2)
                let links = [
                    try await world.publish(kept, "--shards", "2/4").link,
                    try await world.publish(other, "--shards", "2/4").link,
                ]
                let publisher = try await world.serve("publisher")
                let limit = 600_000
                let size = ["--cache-size", "\(limit)"]
                var mounted = try await world.mount(
                    "reader", links, peers: [publisher.address], size)
                let pin = try await world.petals("reader", "pin", "kept.gguf", "--json")
                let report = try pin.decode(KeptReport.self)
                #expect(report.pinned && report.shards == 2, pin.told)
                #expect(report.bytes == Self.storedBytes, pin.told)
                for file in [other, kept] {
                    try await mounted.expectSame(world, (file as NSString).lastPathComponent, file)
                }
                let evict = try await world.petals("reader", "evict", "kept.gguf", "--json")
                #expect(try evict.decode(EvictedReport.self).cells == 0, evict.told)
                var store = try await world.status("reader").store
                #expect(store["pinned"] == Self.storedBytes)
                #expect((store["cached"] ?? 0) <= limit && (store["cached"] ?? 0) > 0)
                let models = try await world.petals("reader", "ls", "--json")
                    .decode([ModelReport].self)
                #expect(models.map(\.pinned) == [true, false])
                #expect(try await world.petals("reader", "ls").output.contains("added, pinned"))
                try await mounted.unmount(world)
                #expect(try await world.shardBytes("reader") == Self.storedBytes)
                publisher.child.send(SIGKILL)

                mounted = try await world.mount("reader", [], peers: [], size)
                try await mounted.expectSame(world, "kept.gguf", kept)
                let unpin = try await world.petals("reader", "unpin", "kept.gguf", "--json")
                let after = try unpin.decode(KeptReport.self)
                #expect(!after.pinned && after.shards == 0 && after.bytes == 0, unpin.told)
                store = try await world.status("reader").store
                #expect(store["pinned"] == 0 && (store["cached"] ?? 0) <= limit)
                let info = try await world.petals("reader", "info", "kept.gguf", "--json")
                #expect(try info.decode(InfoReport.self).summary.pinned == false)
                try await mounted.unmount(world)
                #expect(try await world.shardBytes("reader") == 0)
            }
        }

        /// S28: a model is evicted again and again while four processes read it past the page
        /// cache; they see nothing of it.
        @Test func evictedUnderReaders() async throws {
            try await World.with { world in
                let swarm = try await Swarm.make(world, parts: ["0,1"])
                let mounted = try await swarm.mount([try await swarm.serve(0)])
                let stop = world.path("stop")
                let readers = try (0..<4).map { _ in
                    try world.start([
                        "python3", "-c", Self.endlessReader, mounted.path(swarm.name),
                        swarm.source, stop,
                    ])
                }
                for _ in 0..<8 {
                    try await World.wait("something to be cached") {
                        try await (world.status("reader").store["cached"] ?? 0) > 0
                            || !readers.allSatisfy { $0.isRunning }
                    }
                    let evict = try await world.petals("reader", "evict", swarm.name, "--json")
                    let report = try evict.decode(EvictedReport.self)
                    #expect(report.cells > 0 && report.bytes > 0, evict.told)
                }
                try Data().write(to: URL(fileURLWithPath: stop))
                for reader in readers {
                    let finished = try await reader.finish()
                    #expect(finished.text == "same", finished.told)
                }
                #expect(try await world.status("reader").node?.damagedLeaves == 0)
                // With nobody reading, nothing is left, on the disk either.
                _ = try await world.petals("reader", "evict", swarm.name).succeeded()
                #expect(try await world.status("reader").store["cached"] == 0)
                #expect(try await world.shardBytes("reader") == 0)
                try await mounted.expectSame(world, swarm.name, swarm.source)
            }
        }

        private static let endlessReader = """
            import mmap, os, sys
            path, original, stop = sys.argv[1:]
            want = open(original, 'rb').read()
            fd, buffer = os.open(path, os.O_RDONLY | os.O_DIRECT), mmap.mmap(-1, 1 << 18)
            while not os.path.exists(stop):
                at = 0
                while at < len(want):
                    count = os.preadv(fd, [buffer], at)
                    assert count == min(1 << 18, len(want) - at), (at, count)
                    assert buffer[:count] == want[at:at + count], at
                    at += count
            print('same')
            """

        /// Without a running node the commands are one themselves, and wait for the manifest.
        @Test func withoutANode() async throws {
            try await World.with { world in
                let source = try await Samples.noise(world, "model.gguf")
                let link = try await world.publish(source, "--shards", "2/4").link
                let publisher = try await world.serve("publisher")
                for state in ["one", "two"] {
                    _ = try await world.petals(state, "add", "-", input: link).succeeded()
                }
                let lonely = try await world.petals("one", "pin", "model.gguf")
                expectRefusal(lonely, saying: "name one with --peer")
                let pin = try await world.petals(
                    "one", "pin", "model.gguf", "--peer", publisher.address)
                #expect(pin.text == "model.gguf: 4.0 MB pinned", pin.told)
                let prefetch = try await world.petals(
                    "two", "prefetch", "model.gguf", "--peer", publisher.address)
                #expect(prefetch.code == 0, prefetch.told)
                publisher.child.send(SIGKILL)
                for (state, shardClass) in [("one", "pinned"), ("two", "cached")] {
                    let store = try await world.status(state).store
                    #expect(store[shardClass] == Self.storedBytes, "\(store)")
                    let evict = try await world.petals(state, "evict", "model.gguf", "--json")
                    let report = try evict.decode(EvictedReport.self)
                    #expect(report.bytes == (state == "one" ? 0 : Self.storedBytes), evict.told)
                }
                #expect(try await world.shardBytes("two") == 0)
                _ = try await world.petals("one", "rm", "model.gguf").succeeded()
                #expect(try await world.shardBytes("one") == 0)
            }
        }

        /// What cannot be done is said at once, and nothing is fetched for it.
        @Test func refusals() async throws {
            try await World.with { world in
                let swarm = try await Swarm.make(world, parts: ["0,1"])
                let relay = try await swarm.serve(0)
                // A relay does not know what the model is called.
                let names = try await world.petals(swarm.state(0), "ls", "--json")
                    .decode([ModelReport].self).map(\.name)
                let held = try await world.petals(swarm.state(0), "pin", names.first ?? "")
                expectRefusal(held, saying: "is held, which keeps it already")
                let mounted = try await swarm.mount([relay], ["--cache-size", "1MB"])
                let large = try await world.petals("reader", "prefetch", swarm.name, "--wait")
                expectRefusal(large, saying: "raise --cache-size, or pin the model")
                #expect(try await world.status("reader").node?.fetchedBytes == 0)
                try await mounted.unmount(world)
                let alone = try await world.petals("reader", "unpin", swarm.name)
                #expect(alone.text == "\(swarm.name): 0 B pinned", alone.told)
            }
        }
    }
}

extension Mounted {
    /// Expects that a mounted file is what was published.
    func expectSame(
        _ world: World, _ name: String, _ original: String,
        sourceLocation: SourceLocation = #_sourceLocation
    ) async throws {
        let same = try await world.run("cmp", path(name), original)
        #expect(same.code == 0, same.told, sourceLocation: sourceLocation)
    }
}
