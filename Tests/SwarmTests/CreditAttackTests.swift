import NIOCore
import PetalsCodec
import PetalsCore
import PetalsStore
import PetalsTesting
import Testing

@testable import ShardFetch

extension Swarms {
    /// Three attacks on credit over real sockets: taking without giving, taking without signing,
    /// and signing what is not so.
    @Suite(.serialized) struct CreditAttackTests {
        /// What everybody wants.
        static let wanted = Result {
            try SampleBlob(seed: 91, size: 24 * Limits.cellBytes, dataShards: 2, groupShards: 3)
        }
        /// What the contributor has and the server reads.
        static let other = Result {
            try SampleBlob(seed: 92, size: 24 * Limits.cellBytes, dataShards: 2, groupShards: 3)
        }

        /// A server that owes a contributor, and sends 2 MiB a second from now on.
        private func contended(
            _ swarm: Swarm
        ) async throws -> (server: LoopbackNode, contributor: LoopbackNode) {
            let (wanted, other) = (try Self.wanted.get(), try Self.other.get())
            let contributor = try await swarm.start {
                try other.install(in: $0.store, shards: other.shards)
            }
            let server = try await swarm.start(peers: [contributor]) {
                try wanted.install(in: $0.store, shards: wanted.shards)
            }
            #expect(try await server.readAll(other.record) == other.plain)
            await CreditTests.expectSigned(
                CreditTests.rare(other.plain.count), by: server, for: contributor)
            server.node.setUploads(try UploadSchedule(limit: "2MiB", times: nil))
            return (server, contributor)
        }

        /// Until the contributor has all that it wants, whoever gave nothing has a quarter of that
        /// at most; and then the rest.
        @Test func contributorsAreServedFirst() async throws {
            let wanted = try Self.wanted.get()
            try await withSwarm { swarm in
                let (server, contributor) = try await contended(swarm)
                let rider = try await swarm.start(peers: [server])
                let isMet = await eventually { rider.node.peerCount == 1 }
                #expect(isMet)
                let riding = Task { try await rider.readAll(wanted.record) }
                #expect(try await contributor.readAll(wanted.record) == wanted.plain)
                let ridden = rider.node.status().fetchedBytes
                #expect(4 * ridden <= wanted.plain.count, "the rider had \(ridden) bytes by then")
                server.node.setUploads(.unlimited)
                #expect(try await riding.value == wanted.plain)
                #expect(server.creditFault == nil)
            }
        }

        /// A newcomer whom nobody competes with has all of the limit: a few seconds for 6 MiB at
        /// 2 MiB a second, and nothing of it stays unsigned.
        @Test func idleServersServeNewcomers() async throws {
            let wanted = try Self.wanted.get()
            try await withSwarm { swarm in
                let (server, _) = try await contended(swarm)
                let newcomer = try await swarm.start(peers: [server])
                #expect(try await newcomer.readAll(wanted.record) == wanted.plain)
                #expect(!server.node.status().upload.contended)
                await CreditTests.expectSigned(
                    CreditTests.rare(wanted.plain.count), by: newcomer, for: server)
            }
        }

        /// A raw peer that asks for everything and signs nothing.
        private func taker(
            _ server: LoopbackNode, seed: UInt8, speaks: Bool
        ) async throws -> RawPeer {
            let wanted = try Self.wanted.get()
            let identity = try NodeIdentity(seed: Array(repeating: seed, count: 32))
            let peer = try await RawPeer.dial(server.endpoint, identity: identity)
            let isGreeted = await eventually { !peer.frames.isEmpty }
            #expect(isGreeted)
            if speaks {
                let none = try #require(CreditBalance.Side(epoch: 0, bytes: 0, mills: .zero))
                peer.send(.balance(CreditBalance(received: none, given: none, receipt: nil)))
            }
            let topic = KeyDerivation.topic(wanted.relayKey, of: wanted.id, day: UTCDay.today)
            peer.send(.join(topic))
            for number in 0..<24 {
                let address = CellAddress(
                    shard: ShardIndex(number % 2), cell: CellIndex(number / 2))
                peer.send(
                    .request(
                        .init(
                            request: UInt32(number), topic: topic, address: address,
                            leaves: 0..<16, bulk: false)))
            }
            return peer
        }

        private func bytes(_ peer: RawPeer) -> Int {
            peer.frames.reduce(0) { sum, frame in
                guard case .data(_, _, let bytes) = frame else { return sum }
                return sum + bytes.count
            }
        }

        /// While others wait, strangers that do not sign get 256 KiB each and no more, whether they
        /// take part in credit or say nothing of it.
        @Test func withheldReceiptsCostACell() async throws {
            let wanted = try Self.wanted.get()
            try await withSwarm { swarm in
                let (server, contributor) = try await contended(swarm)
                let honest = try await swarm.start(peers: [server])
                let waiting = Task { try await honest.readAll(wanted.record) }
                let reading = Task { try await contributor.readAll(wanted.record) }
                let isContended = await eventually { server.node.status().upload.contended }
                #expect(isContended)
                var takers: [RawPeer] = []
                for seed in 1...4 {
                    takers.append(
                        try await taker(server, seed: UInt8(seed), speaks: seed.isMultiple(of: 2)))
                }
                #expect(try await reading.value == wanted.plain)
                for taker in takers {
                    #expect(bytes(taker) <= Limits.cellBytes)
                    taker.channel.close(promise: nil)
                }
                server.node.setUploads(.unlimited)
                #expect(try await waiting.value == wanted.plain)
            }
        }

        /// On an idle server, too, who takes part and does not sign is sent its window and no more.
        @Test func whoTakesPartHasToSign() async throws {
            try await withSwarm { swarm in
                let (server, _) = try await contended(swarm)
                server.node.setUploads(.unlimited)
                let taker = try await taker(server, seed: 1, speaks: true)
                let isServed = await eventually { bytes(taker) == Limits.cellBytes }
                #expect(isServed)
                let isStopped = await eventually {
                    server.node.status().upload.waiters.map(\.unpaid) == [true]
                }
                #expect(isStopped && bytes(taker) == Limits.cellBytes)
                taker.channel.close(promise: nil)
            }
        }
    }
}
