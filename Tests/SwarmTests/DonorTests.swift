import PetalsCodec
import PetalsCore
import PetalsStore
import PetalsTesting
import Testing

@testable import ShardFetch

extension Swarms {
    /// Donors on real nodes: they spread, make again what is lost, and stay within what is given.
    @Suite(.serialized) struct DonorTests {
        /// The policy with shorter waits: what it does is the same.
        static var rules: DonationPlan.Rules {
            var rules = DonationPlan.Rules()
            rules.settleSeconds = 1.5
            rules.turnSeconds = 1
            rules.lossSeconds = 8
            rules.dropTurnSeconds = 1
            rules.dwellSeconds = 3
            return rules
        }

        /// A node that donates.
        struct Giver {
            let node: LoopbackNode
            let donor: Donor

            init(
                _ swarm: Swarm, peers: [LoopbackNode], blobs: [SampleBlob], bytes: Int,
                folder: TemporaryFolder? = nil
            ) async throws {
                var options = LoopbackNode.Options()
                options.peers = peers.map(\.endpoint)
                options.folder = folder
                node = try await swarm.start(options)
                donor = node.node.startDonating(rules: DonorTests.rules)
                for blob in blobs where node.store.blob(blob.id) != nil {
                    try await node.node.donate(to: blob.id, relayKey: blob.relayKey, as: donor)
                }
                await donor.give(bytes)
                for blob in blobs {
                    try await node.node.donate(to: blob.id, relayKey: blob.relayKey, as: donor)
                }
            }

            func stop(_ swarm: Swarm) async {
                await donor.stop()
                await swarm.stop(node)
            }

            /// The shards of a blob that are here, whole.
            func shards(_ blob: SampleBlob) -> [ShardIndex] {
                guard let stored = node.store.blob(blob.id) else { return [] }
                return blob.shards.filter {
                    stored.isWhole($0) && stored.shardClass(of: $0) == .held
                }
            }

            /// Whether what is held here has not a wrong byte, and is no more than was given.
            func isSound(_ blobs: [SampleBlob], within bytes: Int) throws -> Bool {
                for blob in blobs {
                    guard let stored = node.store.blob(blob.id) else { continue }
                    for (address, cell) in blob.cells where stored.present(address) != .none {
                        guard stored.shardClass(of: address.shard) == .held else { continue }
                        let leaves = stored.present(address).runs
                        for run in leaves
                        where try stored.read(address, leaves: run)?.bytes != cell.part(run).bytes {
                            return false
                        }
                    }
                }
                return (node.store.usage().bytes[.held] ?? 0) <= bytes
            }
        }

        /// Whether every shard of a blob is whole at a donor of its own.
        private func isSpread(_ blob: SampleBlob, over givers: [Giver]) -> Bool {
            let held = givers.map { $0.shards(blob) }
            return held.allSatisfy { $0.count == 1 }
                && Set(held.flatMap { $0 }).count == blob.shards.count
        }

        @Test func twelveDonorsSpreadAndMakeAgainWhatIsLost() async throws {
            let blobs = [
                try SampleBlob(seed: 11, size: 3_000_000, dataShards: 8, groupShards: 12),
                try SampleBlob(seed: 12, size: 700_000, dataShards: 8, groupShards: 12),
            ]
            let bytes = blobs.reduce(0) { $0 + $1.geometry.shardLength(ShardIndex(0)) }
            try await withSwarm { swarm in
                let publisher = try await swarm.start {
                    for blob in blobs { try blob.install(in: $0.store, shards: blob.shards) }
                }
                var givers: [Giver] = []
                for _ in 0..<12 {
                    givers.append(
                        try await Giver(
                            swarm, peers: [publisher] + givers.map(\.node), blobs: blobs,
                            bytes: bytes))
                }
                let all = givers
                #expect(
                    await eventually {
                        blobs.allSatisfy { isSpread($0, over: all) }
                    }, "\(all.map { giver in blobs.map { giver.shards($0) } })")
                for giver in all { #expect(try giver.isSound(blobs, within: bytes)) }
                await swarm.stop(publisher)

                // As many as may be lost go at once; all can be read, and is made again elsewhere.
                for giver in all.prefix(4) { await giver.stop(swarm) }
                let rest = Array(all.dropFirst(4))
                let reader = try await swarm.start(peers: rest.map(\.node))
                for blob in blobs { #expect(try await reader.readAll(blob.record) == blob.plain) }
                await swarm.stop(reader)
                var fresh: [Giver] = []
                for _ in 0..<4 {
                    fresh.append(
                        try await Giver(
                            swarm, peers: (rest + fresh).map(\.node), blobs: blobs, bytes: bytes))
                }
                let now = rest + fresh
                #expect(
                    await eventually { blobs.allSatisfy { isSpread($0, over: now) } },
                    "\(now.map { giver in blobs.map { giver.shards($0) } })")
                for giver in now { #expect(try giver.isSound(blobs, within: bytes)) }
                #expect(fresh.contains { $0.donor.status().rebuilt > 0 })
                for giver in fresh {
                    // What the lost shards were made of is not kept.
                    #expect((giver.node.store.usage().bytes[.cached] ?? 0) == 0)
                }
                for giver in now { await giver.donor.stop() }
            }
        }

        /// A donor goes on after a restart, drops what is too much when less is given, and leaves
        /// alone what a person had it hold.
        @Test func aDonorKeepsItsShardsAndItsQuota() async throws {
            let blob = try SampleBlob(seed: 13, size: 2_000_000, dataShards: 2, groupShards: 4)
            let length = blob.geometry.shardLength(ShardIndex(0))
            try await withSwarm { swarm in
                let publisher = try await swarm.start {
                    try blob.install(in: $0.store, shards: blob.shards)
                }
                let giver = try await Giver(
                    swarm, peers: [publisher], blobs: [blob], bytes: 2 * length + 1)
                #expect(await eventually { giver.shards(blob).count == 2 })
                let before = giver.shards(blob)
                #expect(try giver.isSound([blob], within: 2 * length + 1))
                await giver.stop(swarm)

                let again = try await Giver(
                    swarm, peers: [publisher], blobs: [blob], bytes: 3 * length,
                    folder: giver.node.folder)
                #expect(await eventually { again.shards(blob).count == 3 })
                #expect(Set(before).isSubset(of: again.shards(blob)))
                // The person wants a shard that was chosen, and gives less.
                let wanted = try #require(again.shards(blob).first)
                try again.node.store.keepByHand([wanted], blob: blob.id)
                await again.donor.give(2 * length)
                #expect(again.shards(blob).count == 2)
                await again.donor.give(0)
                #expect(again.shards(blob) == [wanted])
                let stored = try #require(again.node.store.blob(blob.id))
                #expect(stored.layer(of: wanted) != nil)
                await again.donor.stop()
            }
        }

        /// Who claims what it does not have is found out, and what it claims is fetched from
        /// others.
        @Test func claimsAreChecked() async throws {
            let blob = try SampleBlob(seed: 14, size: 900_000, dataShards: 2, groupShards: 3)
            try await withSwarm { swarm in
                let honest = try await swarm.start {
                    try blob.install(in: $0.store, shards: blob.shards)
                }
                var idle = Liar(blob, shards: [])
                idle.holdings = { _ in blob.shards.map { .init(shard: $0, cells: nil) } }
                let refusing = try await RawServer.start(seed: 81, idle.script)
                var wrong = Liar(blob, shards: [0, 1, 2])
                wrong.answer = { _, answer in
                    var changed = answer
                    changed.bytes[0] ^= 1
                    return changed
                }
                let lying = try await RawServer.start(seed: 82, wrong.script)
                var options = LoopbackNode.Options()
                options.peers = [honest.endpoint, refusing.endpoint, lying.endpoint]
                let node = try await swarm.start(options)
                let donor = node.node.startDonating(rules: Self.rules)
                try await node.node.donate(to: blob.id, relayKey: blob.relayKey, as: donor)
                #expect(await eventually { node.blames(lying.identity.peerID) })
                let length = blob.geometry.shardLength(ShardIndex(0))
                await donor.give(3 * length)
                #expect(
                    await eventually {
                        node.store.blob(blob.id).map { stored in
                            blob.shards.allSatisfy { stored.isWhole($0) }
                        } == true
                    })
                #expect(!node.blames(refusing.identity.peerID), "it only refused")
                let broken = node.account(of: refusing.identity.peerID)?.violations ?? 0
                #expect(broken > 0, "what it claims it does not have")
                #expect(donor.status().auditsPassed > 0)
                await donor.stop()
                await refusing.stop()
                await lying.stop()
            }
        }
    }
}
