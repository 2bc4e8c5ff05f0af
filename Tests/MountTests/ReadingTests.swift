internal import Foundation
internal import Glibc
internal import Testing

extension MountTests {
    /// Reads everything in every way, with holders missing, and compares.
    @Suite struct ReadingTests {
        /// S8: all ways of reading see the published bytes, and nobody is asked twice for a cell.
        @Test(arguments: Reader.allCases)
        func sameBytes(reader: Reader) async throws {
            try await World.with { world in
                let swarm = try await Swarm.make(world)
                let mounted = try await swarm.mount(try await swarm.serve([0, 1, 2, 3]))
                let finished = try await world.python(
                    reader.program, mounted.path(swarm.name), swarm.source)
                #expect(finished.text == "same", finished.told)
                #expect(
                    try await world.sha256(mounted.path(swarm.name)) == swarm.report.files[0].sha256
                )
            }
        }

        /// Any n-k holders may be gone: every pair of the four relays is enough, read in turn in
        /// each way.
        @Test func anyTwoOfFourHoldersAreEnough() async throws {
            try await World.with { world in
                let swarm = try await Swarm.make(world)
                var readers = Reader.allCases.makeIterator()
                for first in 0..<4 {
                    for second in first + 1..<4 {
                        let relays = try await swarm.serve([first, second])
                        let mounted = try await swarm.mount(relays)
                        let reader = readers.next() ?? .sequential
                        let finished = try await world.python(
                            reader.program, mounted.path(swarm.name), swarm.source)
                        #expect(finished.text == "same", finished.told)
                        try await mounted.unmount(world)
                        for relay in relays { relay.child.send(SIGKILL) }
                        for relay in relays { _ = try await relay.child.finish() }
                    }
                }
            }
        }

        /// Both data holders are killed under an open file: the rest comes from parity.
        @Test func holdersDieWhileAFileIsOpen() async throws {
            try await World.with { world in
                let swarm = try await Swarm.make(world)
                let relays = try await swarm.serve([0, 1, 2, 3])
                let mounted = try await swarm.mount(relays)
                let first = try await world.run(
                    "dd", "if=\(mounted.path(swarm.name))", "of=/dev/null", "bs=4k", "count=1")
                #expect(first.code == 0, first.told)
                for relay in relays.prefix(2) { relay.child.send(SIGKILL) }
                let same = try await world.run("cmp", mounted.path(swarm.name), swarm.source)
                #expect(same.code == 0, same.told)
            }
        }

        /// A relay's shard is damaged on its disk, one bit in every leaf; no reader sees it.
        @Test func damageOnARelaysDiskIsNeverRead() async throws {
            try await World.with { world in
                let swarm = try await Swarm.make(world)
                let relays = try await swarm.serve([0, 1, 2])
                try await world.damageEveryLeaf(of: swarm.state(0))
                let mounted = try await swarm.mount(relays)
                let same = try await world.run("cmp", mounted.path(swarm.name), swarm.source)
                #expect(same.code == 0, same.told)
                // The relay itself finds out, and tells whoever asks it.
                let report = try await world.petals(swarm.state(0), "verify", "--json")
                let again = try await world.petals(swarm.state(0), "verify", "--json")
                #expect(try again.decode(VerifyReport.self).clean, report.told)
            }
        }

        /// Weights shrink on the wire and read back identical.
        @Test(arguments: Samples.WeightType.allCases)
        func weightsShrink(type: Samples.WeightType) async throws {
            try await World.with { world in
                let source = try await Samples.weights(
                    world, "model.safetensors", type: type, count: 600_000)
                let swarm = try await Swarm.make(world, source: source, parts: ["0,2", "1,3"])
                let share = type == .float32 ? 0.90 : 0.80
                #expect(
                    Double(swarm.report.stored) <= share * Double(swarm.report.size),
                    "\(swarm.report.stored) of \(swarm.report.size)")
                let mounted = try await swarm.mount(try await swarm.serve([0, 1]))
                for reader in Reader.allCases {
                    let finished = try await world.python(
                        reader.program, mounted.path(swarm.name), swarm.source)
                    #expect(finished.text == "same", finished.told)
                }
                #expect(try await world.petals("reader", "ls").output.contains("safetensors"))
            }
        }

        /// S5: a folder is a folder, with its small files, its empty ones and its depths.
        @Test func treesKeepTheirShape() async throws {
            try await World.with { world in
                let source = try await world.makeTree("tree")
                let swarm = try await Swarm.make(world, source: source, parts: ["0,1,2,3"])
                let mounted = try await swarm.mount(try await swarm.serve([0]))
                let same = try await world.run("diff", "-r", mounted.path("tree"), source)
                #expect(same.code == 0, same.told)
                let modes = try await world.run(
                    "stat", "-c", "%a %F", mounted.path("tree"), mounted.path("tree/config.json"),
                    mounted.path("tree/bin/run.sh"))
                #expect(
                    modes.text == "555 directory\n444 regular file\n555 regular file", modes.told)
                #expect(swarm.report.files.contains { $0.blob == nil })
                #expect(swarm.report.files.contains { $0.blob != nil })
            }
        }

        /// A model sealed with a random key reads as well, and is not found by its content.
        @Test func privateModelsShareNothing() async throws {
            try await World.with { world in
                let swarm = try await Swarm.make(
                    world, parts: ["0,1,2,3"], more: ["--private"])
                let open = try await world.petals(
                    "other", "publish", swarm.source, "--json",
                    "--shards", "2/4"
                ).decode(PublishReport.self)
                let renamed = try await world.petals(
                    "third", "publish", swarm.source, "--json", "--shards", "2/4", "--name",
                    "renamed"
                ).decode(PublishReport.self)
                #expect(open.files[0].blob != swarm.report.files[0].blob)
                #expect(open.files[0].blob == renamed.files[0].blob)
                let mounted = try await swarm.mount(try await swarm.serve([0]))
                let same = try await world.run("cmp", mounted.path(swarm.name), swarm.source)
                #expect(same.code == 0, same.told)
            }
        }

        /// S3: once read, pages are the kernel's; neither a second read nor a second open needs the
        /// node, which is stopped meanwhile.
        @Test func pagesAreKept() async throws {
            try await World.with { world in
                let swarm = try await Swarm.make(world, parts: ["0,1"])
                let mounted = try await swarm.mount(try await swarm.serve([0]))
                let reader = try world.start([
                    "python3", "-c",
                    """
                    import os, sys, time
                    first = open(sys.argv[1], 'rb', buffering=0)
                    want = first.read()
                    second = open(sys.argv[1], 'rb', buffering=0)
                    print('read', flush=True)
                    while not os.path.exists(sys.argv[2]): time.sleep(0.01)
                    first.seek(0)
                    assert first.read() == want
                    assert second.read() == want
                    print('same')
                    """, mounted.path(swarm.name), world.path("go"),
                ])
                try await World.wait("the first read") {
                    reader.output.contains("read") || !reader.isRunning
                }
                mounted.child.send(SIGSTOP)
                try Data().write(to: URL(fileURLWithPath: world.path("go")))
                let finished = try await reader.finish()
                mounted.child.send(SIGCONT)
                #expect(finished.text == "read\nsame", finished.told)
            }
        }
    }
}

extension World {
    /// A folder with a large file, a small one, an empty one, a program, and depths.
    func makeTree(_ name: String) async throws -> String {
        let folder = try makeFolder(name)
        for sub in ["bin", "weights/deep/er", "tokenizer"] { _ = try makeFolder("\(name)/\(sub)") }
        _ = try await Samples.noise(self, "\(name)/weights/deep/er/one.bin", bytes: 1_000_001)
        _ = try await Samples.noise(self, "\(name)/weights/two.bin", bytes: 70_000, seed: 2)
        _ = try await Samples.text(self, "\(name)/tokenizer/merges of words.txt", lines: 9000)
        try Data("{\"layers\": 12}\n".utf8).write(to: URL(fileURLWithPath: folder + "/config.json"))
        try Data().write(to: URL(fileURLWithPath: folder + "/weights/empty"))
        try Data("#!/bin/sh\n".utf8).write(to: URL(fileURLWithPath: folder + "/bin/run.sh"))
        _ = try await run("chmod", "755", folder + "/bin/run.sh").succeeded()
        return folder
    }

    /// Flips one bit in every leaf of every shard that lies in a state folder.
    func damageEveryLeaf(of state: String) async throws {
        let finished = try await python(
            """
            import glob, os, sys
            for path in glob.glob(sys.argv[1] + '/blobs/*/*.data'):
                with open(path, 'r+b') as file:
                    for leaf in range(os.path.getsize(path) // 16384):
                        at = leaf * 16384 + leaf * 977 % 16384
                        file.seek(at)
                        byte = file.read(1)[0]
                        file.seek(at)
                        file.write(bytes([byte ^ 1 << leaf % 8]))
                print(path)
            """, path(state))
        guard try !finished.succeeded().isEmpty else {
            throw Failure(description: "\(state) has no shards to damage")
        }
    }
}

extension Mounted {
    /// Unmounts and waits for the node to end.
    func unmount(_ world: World) async throws {
        _ = try await world.petals(state, "umount", directory).succeeded()
        let finished = try await child.finish()
        guard finished.code == 0 else { throw Failure(description: finished.errors) }
    }
}
