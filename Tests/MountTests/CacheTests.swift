internal import Foundation
internal import Glibc
internal import Testing

extension MountTests {
    /// The cache's bounds under many readers, and what fetches how often.
    @Suite struct CacheTests {
        /// S25: eight processes read a file through a cache of a third of it; what the cache has of
        /// the disk is looked at all the while, and the limit is what `statfs` says.
        @Test func cacheLimit() async throws {
            try await World.with { world in
                // One data shard is one file, so that one look at it is a look at the cache. Five
                // cells fit, and what ext4 may need to list them.
                let limit = 342 * 4096
                let swarm = try await Swarm.make(world, shards: "1/2", parts: ["0"])
                let mounted = try await swarm.mount(
                    [try await swarm.serve(0)], ["--cache-size", "\(limit)"])
                let watch = try await world.watchShards("reader")
                try await world.readByEight(mounted.path(swarm.name), swarm.source)
                let most = try await watch.stop(world)
                #expect(most <= limit && most > 2 * 262_144, "\(most) of \(limit)")
                let status = try await world.status("reader")
                #expect(status.cacheSize == limit && (status.store["cached"] ?? 0) > 0)
                #expect((status.store["cached"] ?? 0) <= limit)
                let space = try await world.run(
                    "stat", "-f", "-c", "%b %S %f", mounted.directory)
                let used = try await (world.status("reader").store["cached"] ?? 0) / 4096
                #expect(space.text == "342 4096 \(342 - used)", space.told)
                try await mounted.unmount(world)
                #expect(try await world.shardBytes("reader") == 0)
            }
        }

        /// S29: eight processes read one file, past the page cache and through it; every stored
        /// byte is fetched once, and once more only where a holder was late and another was asked.
        @Test func everyByteIsFetchedOnce() async throws {
            try await World.with { world in
                // Whole leaves in both shards: what is fetched is what is stored, to the byte.
                let source = try await Samples.noise(world, "model.gguf", bytes: 4 << 20)
                let swarm = try await Swarm.make(world, source: source, parts: ["0,1"])
                #expect(swarm.report.stored == 4 << 20)
                let mounted = try await swarm.mount([try await swarm.serve(0)])
                try await world.readByEight(mounted.path(swarm.name), swarm.source)
                let status = try await world.status("reader")
                let node = try #require(status.node)
                #expect(status.store["cached"] == swarm.report.stored)
                #expect(node.fetchedBytes >= swarm.report.stored)
                #expect(
                    node.fetchedBytes - swarm.report.stored <= node.hedgedBytes,
                    "\(node.fetchedBytes) fetched, \(node.hedgedBytes) asked twice")
            }
        }

        /// What was donated is not exceeded: what does not fit is refused before it is fetched.
        @Test func donatedSpaceIsABound() async throws {
            try await World.with { world in
                let swarm = try await Swarm.make(world, parts: ["0,1"])
                let relay = try await swarm.serve(0)
                func hold(donating size: String, _ shards: String) async throws -> Finished {
                    let donor = try await world.serve(
                        "donor", "--donate", size, "--peer", relay.address)
                    let finished = try await world.petals(
                        "donor", "hold", "-", "--shards", shards, input: swarm.report.relay)
                    donor.child.send(SIGTERM)
                    _ = try await donor.child.finish().succeeded()
                    return finished
                }
                let refused = try await hold(donating: "100kB", "0")
                #expect(refused.code == 1 && refused.errors.contains("--donate"), refused.told)
                #expect(try await world.shardBytes("donor") == 0)
                let length = swarm.report.stored / 2 + 262_144
                _ = try await hold(donating: "\(length)", "0").succeeded()
                // What is held already is not counted twice, and another shard is one too many.
                _ = try await hold(donating: "\(length)", "0").succeeded()
                let more = try await hold(donating: "\(length)", "0,1")
                #expect(more.code == 1 && more.errors.contains("--donate"), more.told)
            }
        }

        /// S26: on a disk of 6 MiB, caching leaves 3 MB free, and the file reads whole.
        @Test(.enabled("needs root, for a small disk") { Machine.isRoot })
        func cacheFree() async throws {
            try await World.with { world in
                let swarm = try await Swarm.make(world, parts: ["0,1"])
                let relay = try await swarm.serve(0)
                let state = try world.makeFolder("small")
                let directory = try world.makeFolder("mnt-small")
                let finished = try await world.start(
                    [
                        "unshare", "-m", "sh", "-c", Self.smallDiskScript, "sh", Machine.program,
                        state, swarm.source, directory, relay.address,
                    ], input: swarm.report.link
                ).finish()
                let words = finished.text.split(separator: "\n").map(String.init)
                #expect(
                    words.count == 4 && words.first == "same" && words.last == "0", finished.told)
                let least = words.count > 1 ? Int(words[1]) ?? 0 : 0
                let cached = words.count > 2 ? Int(words[2]) ?? 0 : 0
                #expect(least >= 3_000_000 && cached > 1_000_000, finished.told)
            }
        }

        /// Reads through a cache on a small disk; prints “same”, the least that was ever free, the
        /// cached bytes, and the exit code of the mount.
        private static let smallDiskScript = """
            set -u
            petalsfs=$1 state=$2 large=$3 directory=$4 relay=$5
            mount -t tmpfs -o size=6m none "$state" || exit 9
            "$petalsfs" add - --state "$state" >/dev/null
            "$petalsfs" mount "$directory" --state "$state" --peer "$relay" --cache-free 3MB \\
                --no-lan --no-dht --listen 127.0.0.1:0 >"$state.out" 2>"$state.log" &
            mounted=$!
            while ! grep -q ready "$state.out" && kill -0 $mounted; do sleep 0.05; done
            python3 -c '
            import os, sys, time
            least = 1 << 60
            while not os.path.exists(sys.argv[2]):
                free = os.statvfs(sys.argv[1])
                least = min(least, free.f_bavail * free.f_frsize)
                time.sleep(0.001)
            print(least)
            ' "$state" "$state.stop" >"$state.least" &
            watch=$!
            for round in 1 2 3; do cmp "$directory/$(basename "$large")" "$large" || exit 7; done
            dd if="$directory/$(basename "$large")" bs=1M iflag=direct 2>/dev/null \\
                | cmp - "$large" && echo same
            touch "$state.stop"
            wait $watch
            cat "$state.least"
            "$petalsfs" status --json --state "$state" | grep -o '"cached":[0-9]*' | cut -d: -f2
            kill $mounted
            wait $mounted
            echo $?
            """
    }
}

extension World {
    /// Reads a mounted file with eight processes at once, two of each kind; all must see the
    /// original.
    func readByEight(_ path: String, _ original: String) async throws {
        let readers = try (Reader.allCases + Reader.allCases).map {
            try start(["python3", "-c", $0.program, path, original])
        }
        for reader in readers {
            let finished = try await reader.finish()
            #expect(finished.text == "same", finished.told)
        }
    }

    /// Looks all the time at what the disk has of a state's shards, until it is stopped.
    func watchShards(_ state: String) async throws -> Watch {
        let stop = path("stop-\(UInt32.random(in: 0...UInt32.max))")
        let child = try start([
            "python3", "-c",
            """
            import glob, os, sys, time
            most = 0
            print('watching', flush=True)
            while not os.path.exists(sys.argv[2]):
                most = max(most, sum(
                    os.stat(p).st_blocks * 512 for p in glob.glob(sys.argv[1])))
                time.sleep(0.001)
            print(most)
            """, path(state) + "/blobs/*/*.data", stop,
        ])
        try await Self.wait("the watch") { child.output.contains("watching") }
        return Watch(child: child, end: stop)
    }
}

/// A process that looks how much of the disk shards take.
struct Watch {
    let child: Child
    /// The file that tells it to end.
    let end: String

    /// Ends it.
    ///
    /// - Returns: the most bytes that it saw.
    func stop(_ world: World) async throws -> Int {
        try Data().write(to: URL(fileURLWithPath: end))
        let finished = try await child.finish()
        guard let most = finished.text.split(separator: "\n").last.flatMap({ Int($0) }) else {
            throw Failure(description: finished.errors)
        }
        return most
    }
}
