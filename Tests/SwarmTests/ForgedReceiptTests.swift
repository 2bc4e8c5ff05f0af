import NIOCore
import PetalsCodec
import PetalsCore
import PetalsStore
import PetalsTesting
import Synchronization
import Testing

@testable import ShardFetch

extension Swarms {
    /// Receipts that nobody signed, that were signed before, and that contradict each other, over a
    /// real connection: books change by what the right key says for the first time, and by nothing
    /// else.
    @Suite(.serialized) struct ForgedReceiptTests {
        static let blob = Result {
            try SampleBlob(seed: 95, size: 8 * Limits.cellBytes, dataShards: 2, groupShards: 3)
        }

        private struct Meeting {
            let server: LoopbackNode
            let peer: RawPeer
            let identity: NodeIdentity

            var epoch: UInt32 { server.node.credit.state.withLock { $0.ledger.epoch } }
            var account: CreditAccount? { server.account(of: identity.peerID) }

            func receipt(
                _ sequence: Int, leaves: Int, debtor: PeerID? = nil, creditor: PeerID? = nil,
                epoch: UInt32? = nil
            ) throws -> Receipt {
                let bytes = leaves * Limits.leafBytes
                return try #require(
                    Receipt(
                        debtor: debtor ?? identity.peerID, creditor: creditor ?? server.peerID,
                        epoch: epoch ?? self.epoch, sequence: sequence, bytes: bytes,
                        mills: Mills(bytes: bytes), time: 1))
            }

            func send(_ receipt: Receipt) {
                peer.send(.receipt(Signed(receipt, by: identity.signing)))
            }
        }

        /// A raw peer that has had a cell, and may say what it wants.
        private func meet(_ swarm: Swarm, seed: UInt8 = 7) async throws -> Meeting {
            let blob = try Self.blob.get()
            let server = try await swarm.start {
                try blob.install(in: $0.store, shards: blob.shards)
            }
            let identity = try NodeIdentity(seed: Array(repeating: seed, count: 32))
            let peer = try await RawPeer.dial(server.endpoint, identity: identity)
            let isGreeted = await eventually { !peer.frames.isEmpty }
            #expect(isGreeted)
            let topic = KeyDerivation.topic(blob.relayKey, of: blob.id, day: UTCDay.today)
            peer.send(.join(topic))
            peer.send(
                .request(
                    .init(
                        request: 1, topic: topic,
                        address: CellAddress(shard: ShardIndex(0), cell: CellIndex(0)),
                        leaves: 0..<16, bulk: false)))
            let meeting = Meeting(server: server, peer: peer, identity: identity)
            let isGiven = await eventually { meeting.account?.givenBytes == Limits.cellBytes }
            #expect(isGiven)
            return meeting
        }

        /// Every way in which a statement can be somebody else's: the connection ends, and nothing
        /// is counted.
        @Test func forgedReceiptsEndTheConnection() async throws {
            let thief = try NodeIdentity(seed: Array(repeating: 8, count: 32))
            for kind in 0..<5 {
                try await withSwarm { swarm in
                    let meeting = try await meet(swarm)
                    let receipt = try meeting.receipt(1, leaves: 16)
                    let own = Signed(receipt, by: meeting.identity.signing)
                    switch kind {
                    case 0:
                        // Another amount than was signed.
                        meeting.peer.send(
                            .receipt(
                                Signed(
                                    try meeting.receipt(1, leaves: 4), publicKey: own.publicKey,
                                    signature: own.signature)))
                    case 1:
                        meeting.peer.send(.receipt(Signed(receipt, by: thief.signing)))
                    case 2:
                        meeting.peer.send(
                            .receipt(
                                Signed(
                                    receipt, publicKey: own.publicKey,
                                    signature: own.signature.reversed())))
                    case 3:
                        // Signed by who it speaks of, who is not here.
                        let other = try meeting.receipt(1, leaves: 16, debtor: thief.peerID)
                        meeting.peer.send(.receipt(Signed(other, by: thief.signing)))
                    default:
                        // For somebody else.
                        let other = try meeting.receipt(1, leaves: 16, creditor: thief.peerID)
                        meeting.send(other)
                    }
                    let isClosed = await eventually { meeting.peer.isClosed }
                    #expect(isClosed, "kind \(kind)")
                    let account = try #require(meeting.account)
                    #expect(account.receipt == nil && account.signed == .zero, "kind \(kind)")
                    #expect(account.violations == 1, "kind \(kind)")
                    #expect(meeting.server.account(of: thief.peerID) == nil)
                    #expect(meeting.server.creditFault == nil)
                }
            }
        }

        /// Receipts in any order, twice, and of another epoch: the highest counts, once.
        @Test func replayedReceiptsChangeNothing() async throws {
            try await withSwarm { swarm in
                let meeting = try await meet(swarm)
                let receipts = try (1...4).map { try meeting.receipt($0, leaves: 4 * $0) }
                for number in [1, 0, 2, 1, 0, 2] { meeting.send(receipts[number]) }
                meeting.send(try meeting.receipt(9, leaves: 16, epoch: meeting.epoch &+ 1))
                meeting.send(try meeting.receipt(9, leaves: 16, epoch: meeting.epoch &- 1))
                let isCounted = await eventually {
                    meeting.account?.signed == receipts[2].mills
                }
                #expect(isCounted)
                meeting.send(receipts[3])
                let isWhole = await eventually { meeting.account?.unsigned == .zero }
                #expect(isWhole && !meeting.peer.isClosed)
                let account = try #require(meeting.account)
                #expect(account.receipt?.statement == receipts[3])
                #expect(account.balance == -Mills(bytes: Limits.cellBytes))
                #expect(!account.hasEquivocated && meeting.server.creditFault == nil)
                #expect(account.violations == 0, "to say a thing twice is no offence")
            }
        }

        /// A newer receipt over less is a broken word, and does not count; after the second one the
        /// peer has no line, and `petalsfs credits` says so.
        @Test func fallingReceiptsBreakAPromise() async throws {
            try await withSwarm { swarm in
                let meeting = try await meet(swarm)
                meeting.send(try meeting.receipt(1, leaves: 12))
                let isCounted = await eventually { meeting.account?.receipt != nil }
                #expect(isCounted)
                for number in 2...3 {
                    meeting.send(try meeting.receipt(number, leaves: 4))
                    let isSeen = await eventually { meeting.account?.violations == number - 1 }
                    #expect(isSeen)
                    let status = try meeting.server.node.creditStatus(names: [:]).peers
                    #expect(status.map(\.violations) == [number - 1])
                    #expect(status.map(\.trusted) == [number == 2])
                }
                #expect(meeting.account?.signed == Mills(bytes: 12 * Limits.leafBytes))
                #expect(!meeting.peer.isClosed && meeting.server.creditFault == nil)
                meeting.peer.channel.close(promise: nil)
            }
        }

        /// Who signs two stories under one number has no credit any more, and both are kept.
        @Test func contradictionsAreKept() async throws {
            try await withSwarm { swarm in
                let meeting = try await meet(swarm)
                let stories = try [4, 8].map { try meeting.receipt(1, leaves: $0) }
                for story in stories { meeting.send(story) }
                let isSeen = await eventually { meeting.account?.hasEquivocated == true }
                #expect(isSeen)
                let registry = meeting.server.store.registry
                let isKept = try await eventually { try registry.creditEvidence().count == 1 }
                #expect(isKept)
                let evidence = try #require(try registry.creditEvidence().first)
                #expect(Set([evidence.first.statement, evidence.second.statement]) == Set(stories))
                let line = meeting.server.node.credit.state.withLock { state in
                    state.ledger.accounts[meeting.identity.peerID].map {
                        state.ledger.line(of: $0, at: UTCDay.secondsNow)
                    }
                }
                #expect(line == .zero)
                meeting.peer.channel.close(promise: nil)
            }
        }

        /// Nobody gains by signing for more than he had: he owes it.
        @Test func overpaidReceiptsAreDebts() async throws {
            try await withSwarm { swarm in
                let meeting = try await meet(swarm)
                meeting.send(try meeting.receipt(1, leaves: 1 << 26))
                let isCounted = await eventually {
                    meeting.account?.balance == -Mills(bytes: Limits.leafBytes << 26)
                }
                #expect(isCounted && meeting.server.creditFault == nil)
                meeting.peer.channel.close(promise: nil)
            }
        }
    }
}
