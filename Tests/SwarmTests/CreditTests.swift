import PetalsCodec
import PetalsCore
import PetalsStore
import PetalsTesting
import Synchronization
import Testing

@testable import ShardFetch

extension LoopbackNode {
    var peerID: PeerID { node.identity.peerID }

    /// What the node's books say of a peer, with what passed until now.
    func account(of peer: PeerID) -> CreditAccount? {
        let credit = node.credit
        let now = MonotonicClock.now
        return credit.change { state in
            for id in state.meetings.keys { state.enter(id, now: now, at: UTCDay.secondsNow) }
            return state.ledger.account(of: peer, at: UTCDay.secondsNow)
        }
    }

    /// What is wrong with the node's books; nil where nothing is.
    var creditFault: String? { node.credit.state.withLock { $0.ledger.check() } }
}

extension Swarms {
    /// The books of credit of real nodes: both sides of a debt say the same, and go on saying it.
    @Suite(.serialized) struct CreditTests {
        static let blob = Result {
            try SampleBlob(seed: 81, size: 8 * Limits.cellBytes, dataShards: 2, groupShards: 3)
        }

        /// What bytes cost of which there is one holder.
        static func rare(_ bytes: Int) -> Mills { Mills(bytes: bytes, price: CreditPrices.ask) }

        /// Waits until a debtor has signed for all that it has received of a creditor.
        static func expectSigned(
            _ mills: Mills, by debtor: LoopbackNode, for creditor: LoopbackNode
        ) async {
            let isSigned = await eventually {
                creditor.account(of: debtor.peerID)?.signed == mills
            }
            #expect(isSigned)
        }

        /// A file is read: its bytes are owed, signed for, and the same in both books.
        @Test func whatIsReadIsSignedFor() async throws {
            let blob = try Self.blob.get()
            let all = blob.plain.count
            try await withSwarm { swarm in
                let server = try await swarm.start {
                    try blob.install(in: $0.store, shards: blob.shards)
                }
                let reader = try await swarm.start(peers: [server])
                #expect(try await reader.readAll(blob.record) == blob.plain)
                await Self.expectSigned(Self.rare(all), by: reader, for: server)
                let given = try #require(server.account(of: reader.peerID))
                let taken = try #require(reader.account(of: server.peerID))
                #expect(given.givenBytes == all && given.given == Self.rare(all))
                #expect(taken.receivedBytes == all && taken.received == given.given)
                #expect(given.balance + taken.balance == .zero)
                #expect(given.unsigned == .zero && given.writtenOff == .zero)
                #expect(server.creditFault == nil && reader.creditFault == nil)
                let names = [blob.id: "model"]
                let earned = try server.node.creditStatus(names: names)
                let spent = try reader.node.creditStatus(names: names)
                let worth = Self.rare(all).bytesAtBasePrice
                #expect(earned.earned == worth && spent.spent == worth)
                #expect(earned.owedToThis == worth && spent.owedByThis == worth)
                #expect(earned.models.map(\.name) == ["model"] && earned.models[0].given == all)
                #expect(spent.models[0].received == all && spent.models[0].spent == worth)
            }
        }

        /// Of two holders, one is so slow that cells are asked of the other as well: whoever sent
        /// what it was asked for is paid, so that nothing is left unsigned.
        @Test func whatCameTwiceIsPaidTwice() async throws {
            let blob = try Self.blob.get()
            try await withSwarm { swarm in
                var options = LoopbackNode.Options()
                options.uploads = try UploadSchedule(limit: "256KiB", times: nil)
                let slow = try await swarm.start(options) {
                    try blob.install(in: $0.store, shards: blob.shards)
                }
                let fast = try await swarm.start {
                    try blob.install(in: $0.store, shards: blob.shards)
                }
                let reader = try await swarm.start(peers: [slow, fast])
                let both = await eventually { reader.node.peerCount == 2 }
                #expect(both)
                #expect(try await reader.readAll(blob.record) == blob.plain)
                for holder in [slow, fast] {
                    let isEven = await eventually {
                        holder.account(of: reader.peerID)?.unsigned == .zero
                    }
                    #expect(isEven)
                }
                let given = [slow, fast].map {
                    $0.account(of: reader.peerID)?.givenBytes ?? 0
                }
                #expect(given.reduce(0, +) >= blob.plain.count)
            }
        }

        /// Both nodes end and begin again: books, epoch and numbers go on where they were.
        @Test func booksSurviveTheirNode() async throws {
            let blob = try Self.blob.get()
            let all = blob.plain.count
            try await withSwarm { swarm in
                let oldServer = try await swarm.start {
                    try blob.install(in: $0.store, shards: blob.shards)
                }
                let oldReader = try await swarm.start(peers: [oldServer])
                _ = try await oldReader.readAll(blob.record)
                await Self.expectSigned(Self.rare(all), by: oldReader, for: oldServer)
                let before = try #require(oldServer.account(of: oldReader.peerID)?.receipt)
                await swarm.stop(oldReader)
                await swarm.stop(oldServer)
                let server = try await Self.restart(oldServer, swarm)
                #expect(server.account(of: oldReader.peerID)?.receipt == before)
                let reader = try await Self.restart(oldReader, swarm, peers: [server])
                // What it read is gone, and read again.
                try reader.store.clearCached()
                #expect(try await reader.readAll(blob.record) == blob.plain)
                await Self.expectSigned(Self.rare(2 * all), by: reader, for: server)
                let after = try #require(server.account(of: reader.peerID)?.receipt)
                #expect(after.statement.epoch == before.statement.epoch)
                #expect(after.statement.sequence > before.statement.sequence)
                #expect(server.creditFault == nil && reader.creditFault == nil)
            }
        }

        /// A node that has lost its books is shown what it signed, and owes it again; a creditor
        /// that has lost its own is told what it is owed.
        @Test(arguments: [false, true])
        func lostBooksAreMadeGood(losesCreditor: Bool) async throws {
            let blob = try Self.blob.get()
            let all = blob.plain.count
            try await withSwarm { swarm in
                let oldServer = try await swarm.start {
                    try blob.install(in: $0.store, shards: blob.shards)
                }
                let oldReader = try await swarm.start(peers: [oldServer])
                _ = try await oldReader.readAll(blob.record)
                await Self.expectSigned(Self.rare(all), by: oldReader, for: oldServer)
                await swarm.stop(oldReader)
                await swarm.stop(oldServer)
                // All rows of the books go, as in a copy from before; the epoch stays.
                try Self.clearBooks(losesCreditor ? oldServer : oldReader)
                let server = try await Self.restart(oldServer, swarm)
                let reader = try await Self.restart(oldReader, swarm, peers: [server])
                await Self.expectSigned(Self.rare(all), by: reader, for: server)
                let isOwed = await eventually {
                    reader.account(of: server.peerID)?.balance == Self.rare(all)
                }
                #expect(isOwed)
                #expect(server.account(of: reader.peerID)?.balance == -Self.rare(all))
                #expect(server.creditFault == nil && reader.creditFault == nil)
            }
        }

        /// The node of an earlier one's folder.
        private static func restart(
            _ node: LoopbackNode, _ swarm: Swarm, peers: [LoopbackNode] = []
        ) async throws -> LoopbackNode {
            var options = LoopbackNode.Options()
            options.folder = node.folder
            options.peers = peers.map(\.endpoint)
            return try await swarm.start(options)
        }

        private static func clearBooks(_ node: LoopbackNode) throws {
            let folder = try StateFolder(opening: node.folder.path + "/state")
            let registry = try Registry(folder: folder, logger: node.log.logger)
            var change = CreditChange()
            change.closed = try registry.openCredit(now: 1).rows.map(\.peer)
            #expect(!change.closed.isEmpty)
            try registry.keepCredit(change)
            folder.release()
        }

        /// Three nodes: the first owes the second, and the second the third; so the third is served
        /// by the first for what the second had there.
        @Test func claimsPassOneHop() async throws {
            let blob = try Self.blob.get()
            let other = try SampleBlob(
                seed: 82, size: 8 * Limits.cellBytes, dataShards: 2, groupShards: 3)
            try await withSwarm { swarm in
                let third = try await swarm.start {
                    try other.install(in: $0.store, shards: other.shards)
                }
                let second = try await swarm.start(peers: [third]) {
                    try blob.install(in: $0.store, shards: blob.shards)
                }
                _ = try await second.readAll(other.record)
                let first = try await swarm.start(peers: [second])
                _ = try await first.readAll(blob.record)
                await Self.expectSigned(Self.rare(blob.plain.count), by: first, for: second)
                await Self.expectSigned(Self.rare(other.plain.count), by: second, for: third)
                // What the third wants now has to come from the first.
                second.node.setUploads(try UploadSchedule(limit: "0", times: nil))
                third.node.dial([first.endpoint])
                let isMet = await eventually { third.node.peerCount == 2 }
                #expect(isMet)
                _ = try await third.readAll(blob.record)
                await Self.expectPassed(from: first, to: third, by: second)
            }
        }

        /// Whatever the third had of the first and the second, all three agree on what is owed.
        private static func expectPassed(
            from debtor: LoopbackNode, to beneficiary: LoopbackNode, by creditor: LoopbackNode
        ) async {
            let isPassed = await eventually(seconds: 60) {
                let passed = debtor.account(of: beneficiary.peerID)?.assignedIn ?? .zero
                return passed > .zero
                    && beneficiary.account(of: debtor.peerID)?.assignedOut == passed
                    && creditor.account(of: debtor.peerID)?.assignedIn == passed
            }
            #expect(isPassed)
            for node in [debtor, beneficiary, creditor] { #expect(node.creditFault == nil) }
        }
    }
}
