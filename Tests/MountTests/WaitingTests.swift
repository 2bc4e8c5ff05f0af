internal import Foundation
internal import Glibc
internal import Testing

extension MountTests {
    /// Too few holders: reads wait, can be ended, go on, or fail in the end.
    @Suite struct WaitingTests {
        /// S10: a read of what nobody reachable has waits, and completes when a holder comes back.
        @Test func readsWait() async throws {
            try await World.with { world in
                let swarm = try await Swarm.make(world)
                let relays = try await swarm.serve([0, 1])
                let mounted = try await swarm.mount(relays)
                relays[1].child.send(SIGKILL)
                _ = try await relays[1].child.finish()
                let reader = try world.start(["sha256sum", mounted.path(swarm.name)])
                try await world.waitForWant("reader")
                #expect(reader.isRunning)
                try await World.wait("status to say what is waited for") {
                    let told = try await world.petals("reader", "status").succeeded()
                    return told.contains("waiting  ") && told.contains(" of \(swarm.name): ")
                }
                _ = try await swarm.serve(1, at: relays[1].address)
                let finished = try await reader.finish()
                #expect(finished.text.hasPrefix(swarm.report.files[0].sha256), finished.told)
            }
        }

        /// S11: a signal ends a waiting read at once, and the mount goes on.
        @Test(arguments: [SIGINT, SIGTERM, SIGKILL])
        func interruptible(signal: Int32) async throws {
            try await World.with { world in
                let swarm = try await Swarm.make(world)
                let relay = try await swarm.serve(0)
                let mounted = try await swarm.mount([relay])
                let reader = try world.start(["cat", mounted.path(swarm.name)])
                try await world.waitForWant("reader")
                reader.send(signal)
                // The read would wait ten minutes: whoever ends within a test's patience was ended.
                let finished = try await reader.finish()
                #expect(finished.code == 128 + Int(signal), finished.told)
                _ = try await swarm.serve(1)
                let listing = try await world.run("ls", mounted.directory)
                #expect(listing.text == swarm.name, listing.told)
                try await mounted.unmount(world)
            }
        }

        /// S12: a read that has waited for `--read-timeout` fails with EIO; S13: the log says once
        /// what was missing.
        @Test func deadline() async throws {
            try await World.with { world in
                let swarm = try await Swarm.make(world)
                let mounted = try await swarm.mount(
                    [try await swarm.serve(0)], ["--read-timeout", "0.5"])
                let finished = try await world.python(
                    """
                    import os, sys
                    # In the second cell, which is in the other shard.
                    try: print(len(os.pread(os.open(sys.argv[1], os.O_RDONLY), 100, 300000)))
                    except OSError as error: print(error.errno)
                    """, mounted.path(swarm.name))
                #expect(finished.text == "\(EIO)", finished.told)
                try await World.wait("a line about the failed read") {
                    mounted.child.errors.contains("fail")
                }
                try await mounted.unmount(world)
            }
        }

        /// S9: facts come from memory while every peer is stopped and a read is stuck; when the
        /// peers go on, so does the read.
        @Test func factsFromMemory() async throws {
            try await World.with { world in
                let swarm = try await Swarm.make(world)
                let relays = try await swarm.serve([0, 1])
                let mounted = try await swarm.mount(relays)
                for relay in relays { relay.child.send(SIGSTOP) }
                let file = mounted.path(swarm.name)
                let reader = try world.start(["sha256sum", file])
                // For a cell or, where it had not come yet, for the descriptor.
                try await World.wait("the read to wait") {
                    try await !world.status("reader").waiting.isEmpty
                }
                let listing = try await world.run("ls", "-l", mounted.directory)
                #expect(listing.output.contains("\(swarm.report.size)"), listing.told)
                let size = try await world.run("stat", "-c", "%s %a", file)
                #expect(size.text == "\(swarm.report.size) 444", size.told)
                let space = try await world.run("stat", "-f", "-c", "%T %b", mounted.directory)
                #expect(space.text.hasPrefix("fuse"), space.told)
                let attributes = try await world.run(
                    "getfattr", "--only-values", "-n", "user.petals.sha256", file)
                #expect(attributes.text == swarm.report.files[0].sha256, attributes.told)
                let status = try await world.run("cat", mounted.path(".petalsfs/status.json"))
                #expect(try status.decode(StatusReport.self).models == 1)
                #expect(reader.isRunning)
                for relay in relays { relay.child.send(SIGCONT) }
                let finished = try await reader.finish()
                #expect(finished.text.hasPrefix(swarm.report.files[0].sha256), finished.told)
            }
        }

        /// S14: a name whose manifest has not arrived is not listed, and opening it is refused.
        @Test func pendingIsRefused() async throws {
            try await World.with { world in
                let swarm = try await Swarm.make(world, parts: ["0,1"])
                let mounted = try await swarm.mount([])
                let listing = try await world.run("ls", "-A", mounted.directory)
                #expect(listing.text == "", listing.told)
                let refused = try await world.run("cat", mounted.path(swarm.name))
                #expect(refused.errors.contains("temporarily unavailable"), refused.told)
                let models = try await world.petals("reader", "ls", "--json")
                #expect(try models.decode([ModelReport].self).map(\.pending) == [true])
            }
        }

        /// Peers that speak something else do not keep a read from those that are right.
        @Test func garbageSpeakersAreLeftAside() async throws {
            try await World.with { world in
                let swarm = try await Swarm.make(world, parts: ["0,1"])
                let garbage = try world.start([
                    "python3", "-c",
                    """
                    import os, socket
                    server = socket.create_server(('127.0.0.1', 0))
                    print(server.getsockname()[1], flush=True)
                    while True:
                        client, _ = server.accept()
                        client.sendall(os.urandom(4096))
                        client.close()
                    """,
                ])
                try await World.wait("the garbage speaker") { garbage.output.hasSuffix("\n") }
                let port = garbage.output.trimmingCharacters(in: .whitespacesAndNewlines)
                let relay = try await swarm.serve(0)
                // The other direction: what talks garbage to a relay is left aside as well.
                let rude = try await world.python(
                    """
                    import os, socket, sys
                    for size in (1, 100, 70000):
                        client = socket.create_connection(('127.0.0.1', int(sys.argv[1])))
                        try: client.sendall(os.urandom(size)); client.recv(100)
                        except OSError: pass
                        client.close()
                    """, String(relay.address.split(separator: ":").last ?? ""))
                #expect(rude.code == 0, rude.told)
                let anonymous = try await world.start(
                    ["openssl", "s_client", "-connect", relay.address, "-ign_eof"], input: "hello"
                ).finish()
                #expect(anonymous.code != 0, anonymous.told)
                let mounted = try await world.mount(
                    "reader", [swarm.report.link], peers: ["127.0.0.1:\(port)", relay.address])
                let same = try await world.run("cmp", mounted.path(swarm.name), swarm.source)
                #expect(same.code == 0, same.told)
                let peers = try await world.status("reader").node?.peers.map(\.address)
                #expect(peers == [relay.address])
            }
        }
    }
}
