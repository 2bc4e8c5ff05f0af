internal import Foundation
internal import Glibc
internal import Testing

extension MountTests {
    /// S24: SIGKILL at any moment; the next start serves nothing wrong and lists nothing
    /// half-published.
    ///
    /// The moments are spread over the time that the work takes; which of them hits what differs
    /// from run to run and machine to machine, and what must hold afterwards does not.
    @Suite struct CrashTests {
        /// Milliseconds after the start at which a process is killed.
        static let moments = [5, 60, 90, 120, 150, 180, 220, 260, 320, 400, 500]

        @Test func killedWhilePublishing() async throws {
            try await World.with { world in
                let source = try await Samples.noise(world, "model.gguf", bytes: 12_000_001)
                let before = try await Samples.noise(world, "before.gguf", bytes: 300_000)
                _ = try await world.publish(before)
                for moment in Self.moments {
                    let publish = try world.start(
                        ["petalsfs", "publish", source, "--state", world.path("publisher")])
                    try await Task.sleep(for: .milliseconds(moment))
                    publish.send(SIGKILL)
                    let wasDone = try await publish.finish().code == 0
                    let listing = try await world.petals("publisher", "ls", "--json")
                    let models = try listing.decode([ModelReport].self)
                    let whole = models.contains { $0.name == "model.gguf" }
                    #expect(models.contains { $0.name == "before.gguf" }, listing.told)
                    #expect(whole || !wasDone, listing.told)
                    #expect(models.allSatisfy { !$0.pending && $0.size > 0 }, listing.told)
                    try await world.expectClean("publisher")
                    if whole { _ = try await world.petals("publisher", "rm", "model.gguf") }
                }
                let last = try await world.publish(source)
                #expect(last.size == 12_000_001)
                try await world.expectClean("publisher")
            }
        }

        /// S30: a publication that was ended goes on; it seals less, and comes to the same blob.
        ///
        /// A process that is done before the signal comes tells nothing; then again, elsewhere.
        @Test(arguments: [(SIGKILL, 1), (SIGKILL, 20), (SIGTERM, 8), (SIGINT, 3)])
        func endedPublicationGoesOn(signal: Int32, rows: Int) async throws {
            try await World.with { world in
                let source = try await Samples.noise(world, "model.gguf", bytes: 48_000_001)
                let whole = try await world.petals("whole", "publish", source, "--json")
                let expected = try whole.decode(PublishReport.self)
                #expect(expected.resumed == 0)
                for attempt in 0..<8 {
                    let state = "ended-\(attempt)"
                    let publish = try world.start(
                        ["petalsfs", "publish", source, "--state", world.path(state)])
                    try await World.wait("\(rows) rows to be sealed") {
                        !publish.isRunning || world.sealedRows(state) >= rows
                    }
                    publish.send(signal)
                    guard try await publish.finish().code != 0 else { continue }
                    let listing = try await world.petals(state, "ls", "--json")
                    #expect(try listing.decode([ModelReport].self).isEmpty, listing.told)
                    try await world.expectClean(state)
                    let again = try await world.petals(state, "publish", source, "--json")
                    let report = try again.decode(PublishReport.self)
                    #expect(report.resumed >= rows * 262_144, again.told)
                    #expect(report.files == expected.files)
                    try await world.expectClean(state)
                    #expect(
                        try FileManager.default.contentsOfDirectory(
                            atPath: world.path(state) + "/publishing"
                        ).isEmpty)
                    return
                }
                Issue.record("no publication could be ended before it was done")
            }
        }

        @Test func killedWhileHolding() async throws {
            try await World.with { world in
                let source = try await Samples.noise(world, "model.gguf", bytes: 12_000_001)
                let report = try await world.publish(source, "--shards", "2/4")
                let publisher = try await world.serve("publisher")
                for moment in Self.moments {
                    let hold = try world.start(
                        [
                            "petalsfs", "hold", "-", "--peer", publisher.address, "--state",
                            world.path("relay0"),
                        ], input: report.relay)
                    try await Task.sleep(for: .milliseconds(moment))
                    hold.send(SIGKILL)
                    _ = try await hold.finish()
                    try await world.expectClean("relay0")
                }
                let hold = try await world.petals(
                    "relay0", "hold", report.relay, "--peer", publisher.address, "--json")
                #expect(try hold.decode(HoldReport.self).shards == 4, hold.told)
                publisher.child.send(SIGKILL)
                _ = try await publisher.child.finish()
                try await world.expectClean("relay0")
                let relay = try await world.serve("relay0")
                let mounted = try await world.mount(
                    "reader", [report.link], peers: [relay.address])
                let same = try await world.run("cmp", mounted.path("model.gguf"), source)
                #expect(same.code == 0, same.told)
            }
        }

        @Test func killedWhileReading() async throws {
            try await World.with { world in
                let source = try await Samples.noise(world, "model.gguf", bytes: 12_000_001)
                let swarm = try await Swarm.make(world, source: source, parts: ["0,1", "2,3"])
                let relays = try await swarm.serve([0, 1])
                for moment in Self.moments {
                    let mounted = try await swarm.mount(relays)
                    let reader = try world.start(["sha256sum", mounted.path(swarm.name)])
                    try await Task.sleep(for: .milliseconds(moment))
                    mounted.child.send(SIGKILL)
                    _ = try await mounted.child.finish()
                    _ = try await reader.finish()
                    try await world.expectClean("reader")
                }
                let mounted = try await swarm.mount(relays)
                let same = try await world.run("cmp", mounted.path(swarm.name), source)
                #expect(same.code == 0, same.told)
                try await mounted.unmount(world)
                #expect(try await world.shardBytes("reader") == 0)
            }
        }

        /// A relay that is killed and started again serves what it had.
        @Test func killedWhileServing() async throws {
            try await World.with { world in
                let swarm = try await Swarm.make(world, parts: ["0,1"])
                let relay = try await swarm.serve(0)
                let mounted = try await swarm.mount([relay])
                relay.child.send(SIGKILL)
                _ = try await relay.child.finish()
                let reader = try world.start(["cmp", mounted.path(swarm.name), swarm.source])
                try await world.waitForWant("reader")
                _ = try await swarm.serve(0, at: relay.address)
                let same = try await reader.finish()
                #expect(same.code == 0, same.told)
            }
        }
    }
}

extension World {
    /// Rows that the interrupted or running publication of a state has sealed: a digest for each.
    func sealedRows(_ state: String) -> Int {
        let folder = path(state) + "/publishing"
        // Before the first row there is no such file.
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        guard let name = names.first(where: { $0.hasSuffix(".rows") }),
            let digests = FileManager.default.contents(atPath: folder + "/" + name)
        else { return 0 }
        return stride(from: 0, to: digests.count, by: 32)
            .count { start in digests[start..<start + 32].contains { $0 != 0 } }
    }

    /// Expects that `verify` finds nothing wrong in a state that no node uses.
    func expectClean(
        _ state: String, sourceLocation: SourceLocation = #_sourceLocation
    ) async throws {
        let finished = try await petals(state, "verify", "--json")
        #expect(finished.code == 0, finished.told, sourceLocation: sourceLocation)
        let report = try finished.decode(VerifyReport.self)
        #expect(
            report.clean && report.damaged.isEmpty, finished.told, sourceLocation: sourceLocation)
    }
}
