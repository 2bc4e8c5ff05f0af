internal import Foundation
internal import Glibc
internal import Testing

extension MountTests {
    /// What somebody meets who has read only the manual.
    @Suite struct FirstUseTests {
        /// A peer is named in the log as in the status and the credits.
        @Test func peersHaveOneName() async throws {
            try await World.with { world in
                let swarm = try await Swarm.make(world, parts: ["0,1"])
                let relay = try await swarm.serve(0)
                let mounted = try await world.mount(
                    "reader", [swarm.report.link], peers: [relay.address])
                _ = try await world.run("cmp", mounted.path(swarm.name), swarm.source).succeeded()
                let status = try await world.status("reader")
                let peer = try #require(status.node?.peers.first?.id.prefix(16))
                let own = try #require(status.node?.peerID.prefix(16))
                #expect(mounted.child.errors.contains("connected with \(peer) at"))
                #expect(mounted.child.errors.contains(" as \(own)"))
                #expect(relay.child.errors.contains("connected with \(own) at"))
                for command in ["status", "credits"] {
                    let shown = try await world.petals("reader", command).succeeded()
                    #expect(shown.contains("peer     \(peer) "), "\(shown)")
                }
                try await mounted.unmount(world)
            }
        }

        /// Help says where a node listens unless it is told.
        @Test func helpNamesTheDefaultAddress() async throws {
            try await World.with { world in
                for command in ["serve", "mount"] {
                    let help = try await world.run("petalsfs", command, "--help")
                    #expect(help.code == 0 && help.output.contains("0.0.0.0:0"), help.told)
                }
            }
        }

        /// A state folder where this user may not write: told as such, without root's rights.
        @Test func aStateFolderOfSomebodyElse() async throws {
            try await World.with { world in
                let folder = try world.makeFolder("closed")
                _ = try await world.run("chmod", "555", folder).succeeded()
                let ordinary =
                    Machine.isRoot
                    ? ["setpriv", "--bounding-set=-dac_override", "--inh-caps=-all"] : []
                for (command, state) in [
                    (["publish", "/etc/hostname"], "closed/state"), (["serve"], "closed/a/b"),
                ] {
                    let finished = try await world.start(
                        ordinary + ["petalsfs"] + command + ["--state", world.path(state)]
                    ).finish()
                    expectRefusal(finished, saying: "this user may not write to \(folder)")
                    #expect(finished.errors.contains("--state"), finished.told)
                }
            }
        }

        /// `hold` with nobody to ask says so and goes on; it ends when somebody comes.
        @Test func holdSaysWhatItWaitsFor() async throws {
            try await World.with { world in
                let source = try await Samples.noise(world, "model.gguf", bytes: 300_000)
                let report = try await world.publish(source)
                let first = try await world.serve("publisher")
                first.child.send(SIGTERM)
                _ = try await first.child.finish()
                let hold = try world.start([
                    "petalsfs", "hold", report.relay, "--peer", first.address, "--state",
                    world.path("relay0"),
                ])
                try await World.wait("a note") { hold.errors.contains("waiting for the manifest") }
                #expect(hold.errors.contains("no peer is connected"), "\(hold.errors)")
                #expect(hold.isRunning && hold.output == "")
                _ = try await world.serve("publisher", at: first.address)
                let finished = try await hold.finish()
                #expect(finished.code == 0, finished.told)
            }
        }

        /// A model whose manifest has not come is among what is waited for, with who was asked.
        @Test func statusShowsMissingManifests() async throws {
            try await World.with { world in
                let source = try await Samples.noise(world, "model.gguf", bytes: 300_000)
                let report = try await world.publish(source)
                let mounted = try await world.mount("reader", [report.link], peers: [])
                let read = try await world.run("head", "-c1", mounted.path(report.name))
                #expect(read.errors.contains("temporarily unavailable"), read.told)
                try await World.wait("the status to say so") {
                    try await world.petals("reader", "status").succeeded()
                        .contains("waiting  the manifest of model.gguf: no peer")
                }
                let publisher = try await world.serve("publisher")
                let pin = try await world.petals(
                    "reader", "add", report.link, "--peer", publisher.address)
                #expect(pin.code == 0, pin.told)
                try await World.wait("the manifest") {
                    try await !world.petals("reader", "status").succeeded()
                        .contains("the manifest of")
                }
                try await mounted.unmount(world)
            }
        }

        /// To look at a state folder that is not there makes none, and says what is there: nothing.
        @Test(
            arguments: [
                (["ls"], 0, "No model is registered"), (["ls", "--json"], 0, "[]"),
                (["status"], 0, "which does not exist yet"),
                (["status", "--json"], 0, "\"exists\":false"), (["credits"], 0, "earned"),
                (["verify"], 0, "clean"), (["catalog", "ls"], 0, "No catalogue is followed"),
                (["catalog", "show", "x"], 1, "no catalogue “x”"),
                (["catalog", "unfollow", "x"], 1, "no catalogue “x”"),
                (["catalog", "remove", "x", "y"], 1, "no catalogue “x”"),
                (["catalog", "add", "x", "y"], 1, "no catalogue “x”"),
                (["info", "x"], 1, "no model named “x”"), (["rm", "x"], 1, "no model named “x”"),
                (["pin", "x"], 1, "no model named “x”"), (["unpin", "x"], 1, "no model named “x”"),
                (["evict", "x"], 1, "no model named “x”"),
                (["prefetch", "x"], 1, "no model named “x”"),
                (["verify", "x"], 1, "no model named “x”"), (["limit", "1M"], 1, "no node runs"),
                (["umount", "/"], 1, "not a mount of petalsfs"),
            ] as [([String], Int, String)])
        func lookingMakesNothing(command: [String], code: Int, phrase: String) async throws {
            try await World.with { world in
                let state = world.path("none")
                let finished = try await world.start(
                    ["petalsfs"] + command + ["--state", state]
                ).finish()
                #expect(finished.code == code, finished.told)
                #expect((finished.output + finished.errors).contains(phrase), finished.told)
                #expect(!FileManager.default.fileExists(atPath: state))
            }
        }

        /// On a donor, `ls` tells what it chose by itself from what it was told to hold.
        @Test func listTellsWhatIsDonated() async throws {
            try await World.with { world in
                let source = try await Samples.noise(world, "model.gguf", bytes: 300_000)
                let report = try await world.publish(source)
                let publisher = try await world.serve("publisher")
                let donor = try await world.serve(
                    "donor", at: "127.0.0.1:0", "--donate", "10M", report.relay, "--peer",
                    publisher.address)
                try await World.wait("the model to be listed as donated") {
                    try await world.petals("donor", "ls").succeeded()
                        .contains("donated: shards are held for others")
                }
                donor.child.send(SIGTERM)
                _ = try await donor.child.finish()
                _ = try await world.petals(
                    "relay0", "hold", report.relay, "--peer", publisher.address
                ).succeeded()
                let held = try await world.petals("relay0", "ls").succeeded()
                #expect(held.contains("held") && !held.contains("donated"), "\(held)")
            }
        }
    }
}
