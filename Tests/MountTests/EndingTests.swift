internal import Foundation
internal import Glibc
internal import Testing

extension MountTests {
    /// The ends of a mount, and what is left of it.
    @Suite struct EndingTests {
        enum Ending: String, CaseIterable, Sendable {
            case umount
            case fusermount
            case terminated
            case interrupted
        }

        /// S22, S23: every way to end a mount ends it cleanly, with a file open, and takes the
        /// cache with it.
        @Test(arguments: Ending.allCases)
        func cleanEndTakesTheCache(ending: Ending) async throws {
            try await World.with { world in
                let swarm = try await Swarm.make(world, parts: ["0,1"])
                let mounted = try await swarm.mount([try await swarm.serve(0)])
                let same = try await world.run("cmp", mounted.path(swarm.name), swarm.source)
                #expect(same.code == 0, same.told)
                #expect(try await world.status("reader").store["cached"] ?? 0 > 4_000_000)
                let holder = try world.start(["tail", "-f", mounted.path(swarm.name)])
                try await World.wait("tail to have the file open") { holder.output.count > 10 }
                switch ending {
                case .umount:
                    let finished = try await world.petals("reader", "umount", mounted.directory)
                    #expect(finished.code == 0, finished.told)
                case .fusermount:
                    // A file is open, so that only a lazy unmount succeeds.
                    let finished = try await world.run(
                        "fusermount3", "-u", "-z", mounted.directory)
                    #expect(finished.code == 0, finished.told)
                    holder.send(SIGKILL)
                case .terminated: mounted.child.send(SIGTERM)
                case .interrupted: mounted.child.send(SIGINT)
                }
                let finished = try await mounted.child.finish()
                #expect(finished.code == 0, finished.told)
                #expect(finished.output == "ready\n")
                #expect(try await world.mounts(at: mounted.directory) == 0)
                #expect(try await world.shardBytes("reader") == 0)
                let models = try await world.petals("reader", "ls", "--json")
                #expect(try models.decode([ModelReport].self).map(\.cached) == [0])
            }
        }

        /// S22: a process that has a copy of the mount, as a container has, does not keep it.
        @Test(.enabled("needs root, to have mounts of its own") { Machine.isRoot })
        func copiesOfTheMountEndWithIt() async throws {
            try await World.with { world in
                let swarm = try await Swarm.make(world, parts: ["0,1"])
                let mounted = try await swarm.mount([try await swarm.serve(0)])
                let copy = try world.start(
                    ["unshare", "-m", "sh", "-c", "echo here; exec sleep 600"])
                try await World.wait("the copy") { copy.output == "here\n" }
                _ = try await world.run("umount", mounted.directory).succeeded()
                let finished = try await mounted.child.finish()
                #expect(finished.code == 0, finished.told)
                #expect(copy.isRunning)
                #expect(try await world.shardBytes("reader") == 0)
            }
        }

        /// S23: with `--keep-cache` the next mount needs no peer.
        @Test func keptCacheIsEnough() async throws {
            try await World.with { world in
                let swarm = try await Swarm.make(world, parts: ["0,1"])
                let relay = try await swarm.serve(0)
                var mounted = try await swarm.mount([relay], ["--keep-cache"])
                _ = try await world.run("cmp", mounted.path(swarm.name), swarm.source).succeeded()
                mounted.child.send(SIGTERM)
                _ = try await mounted.child.finish().succeeded()
                relay.child.send(SIGKILL)
                #expect(try await world.shardBytes("reader") > 0)
                mounted = try await swarm.mount([])
                let same = try await world.run("cmp", mounted.path(swarm.name), swarm.source)
                #expect(same.code == 0, same.told)
                // What was kept is a cache still: the next ordinary end clears it.
                try await mounted.unmount(world)
                #expect(try await world.shardBytes("reader") == 0)
            }
        }

        /// S20: what a killed node left mounted is cleared away at the next start.
        @Test func staleMountIsCleaned() async throws {
            try await World.with { world in
                let swarm = try await Swarm.make(world, parts: ["0,1"])
                let relay = try await swarm.serve(0)
                for _ in 0..<2 {
                    let mounted = try await swarm.mount([relay])
                    mounted.child.send(SIGKILL)
                    #expect(try await mounted.child.finish().code == 128 + Int(SIGKILL))
                    #expect(try await world.mounts(at: mounted.directory) == 1)
                }
                let mounted = try await swarm.mount([relay])
                let same = try await world.run("cmp", mounted.path(swarm.name), swarm.source)
                #expect(same.code == 0, same.told)
                #expect(try await world.mounts(at: mounted.directory) == 1)
            }
        }

        /// S21: a directory with a living mount is refused, and a second node on one state.
        @Test func occupied() async throws {
            try await World.with { world in
                let swarm = try await Swarm.make(world, parts: ["0,1"])
                let mounted = try await swarm.mount([try await swarm.serve(0)])
                let over = try await world.petals("other", "mount", mounted.directory)
                expectRefusal(over, saying: "is mounted by a petalsfs that is running")
                let empty = try world.makeFolder("empty")
                let second = try await world.petals("reader", "mount", empty)
                expectRefusal(second, saying: "uses the state folder")
                let third = try await world.petals("reader", "serve", "--listen", "127.0.0.1:0")
                expectRefusal(third, saying: "uses the state folder")
                let same = try await world.run("cmp", mounted.path(swarm.name), swarm.source)
                #expect(same.code == 0, same.told)
            }
        }

        /// S1: whatever would change something fails with EROFS.
        @Test func readOnly() async throws {
            try await World.with { world in
                let source = try await world.makeTree("tree")
                let swarm = try await Swarm.make(world, source: source, parts: ["0,1"])
                let mounted = try await swarm.mount([try await swarm.serve(0)])
                let finished = try await world.python(
                    """
                    import errno, os, sys
                    root = sys.argv[1]
                    file, folder = root + '/config.json', root + '/bin'
                    def expect(call, *arguments):
                        try: call(*arguments)
                        except OSError as error:
                            assert error.errno == errno.EROFS, (call, error)
                        else: raise AssertionError(call)
                    for flags in (os.O_WRONLY, os.O_RDWR, os.O_RDONLY | os.O_TRUNC):
                        expect(os.open, file, flags)
                    expect(os.open, root + '/new', os.O_CREAT | os.O_WRONLY)
                    expect(os.truncate, file, 0)
                    expect(os.unlink, file)
                    expect(os.mkdir, root + '/new')
                    expect(os.rmdir, folder)
                    expect(os.rename, file, root + '/new')
                    expect(os.symlink, 'x', root + '/new')
                    expect(os.link, file, root + '/new')
                    expect(os.chmod, file, 0o644)
                    expect(os.utime, file)
                    expect(os.setxattr, file, 'user.x', b'1')
                    print('refused')
                    """, mounted.path("tree"))
                #expect(finished.text == "refused", finished.told)
                let lock = try await world.run(
                    "flock", "-n", "-s", mounted.path("tree/config.json"), "true")
                #expect(lock.code == 0, lock.told)
            }
        }

        /// S4, and what a second version shares: nothing that did not change is fetched again.
        @Test func newVersionReusesWhatDidNotChange() async throws {
            try await World.with { world in
                let source = try await world.makeTree("tree")
                let first = try await world.publish(source)
                let publisher = try await world.serve("publisher")
                let mounted = try await world.mount(
                    "reader", [first.link], peers: [publisher.address])
                let one = try await world.run("diff", "-r", mounted.path("tree"), source)
                #expect(one.code == 0, one.told)
                let fetched = try await world.status("reader").node?.fetchedBytes
                try Data("{\"layers\": 13}\n".utf8)
                    .write(to: URL(fileURLWithPath: source + "/config.json"))
                let second = try await world.publish(source)
                #expect(second.manifest != first.manifest)
                #expect(
                    second.files.filter { $0.path != "config.json" }
                        == first.files.filter { $0.path != "config.json" })
                _ = try await world.petals("reader", "add", "-", "--name", "v2", input: second.link)
                    .succeeded()
                try await World.wait("the second manifest") {
                    try await world.petals("reader", "ls", "--json").decode([ModelReport].self)
                        .allSatisfy { !$0.pending }
                }
                let two = try await world.run("diff", "-r", mounted.path("v2"), source)
                #expect(two.code == 0, two.told)
                #expect(try await world.status("reader").node?.fetchedBytes == fetched)
            }
        }
    }
}

extension World {
    /// Mounts on a directory, as the kernel's table has them.
    func mounts(at directory: String) async throws -> Int {
        try await run("cat", "/proc/self/mountinfo").succeeded()
            .split(separator: "\n").filter { $0.contains(" \(directory) ") }.count
    }

    /// Bytes of the disk that the shards of a state take.
    func shardBytes(_ state: String) async throws -> Int {
        try await python(
            """
            import glob, os, sys
            print(sum(os.stat(p).st_blocks * 512 for p in glob.glob(sys.argv[1])))
            """, path(state) + "/blobs/*/*.data"
        ).succeeded().split(separator: "\n").compactMap { Int($0) }.first ?? -1
    }

    /// Publishes into the publisher's state, running or not.
    func publish(_ source: String, _ more: String...) async throws -> PublishReport {
        try await start(
            ["petalsfs", "publish", source, "--json", "--state", path("publisher")] + more
        ).finish().decode(PublishReport.self)
    }
}

/// Expects a failure that is told in one clear sentence.
func expectRefusal(
    _ finished: Finished, saying phrase: String, code: Int = 1,
    sourceLocation: SourceLocation = #_sourceLocation
) {
    #expect(finished.code == code, finished.told, sourceLocation: sourceLocation)
    #expect(finished.output == "", finished.told, sourceLocation: sourceLocation)
    let lines = finished.errors.split(separator: "\n")
    #expect(lines.count == 1, finished.told, sourceLocation: sourceLocation)
    #expect(finished.errors.contains(phrase), finished.told, sourceLocation: sourceLocation)
    #expect(!finished.errors.contains("Error("), finished.told, sourceLocation: sourceLocation)
}
