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
    }
}
