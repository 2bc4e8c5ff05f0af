import PetalsCodec
import PetalsCore
import PetalsStore
import PetalsTesting
import Synchronization
import Testing

@testable import ShardFetch

extension Swarms {
    /// What leaves cost on real nodes: what is rare, what is common, and what is copied for others.
    ///
    /// Both ends count the same whatever the price.
    @Suite(.serialized) struct CreditPriceTests {
        static let blob = Result {
            try SampleBlob(seed: 101, size: 8 * Limits.cellBytes, dataShards: 2, groupShards: 3)
        }

        private func expectEven(
            _ server: LoopbackNode, _ reader: LoopbackNode, bytes: Int, _ mills: Mills
        ) async throws {
            let isEven = await eventually {
                guard let given = server.account(of: reader.peerID),
                    let taken = reader.account(of: server.peerID)
                else { return bytes == 0 }
                return given.givenBytes == bytes && given.given == mills
                    && given.unsigned == .zero && taken.receivedBytes == bytes
                    && taken.received == mills && given.balance + taken.balance == .zero
            }
            let found = server.account(of: reader.peerID)
            #expect(isEven, "\(found?.givenBytes ?? 0) bytes for \(found?.given ?? .zero)")
            #expect(server.creditFault == nil && reader.creditFault == nil)
        }

        /// One holder, as far as the reader knows: the root of three times the usual price.
        ///
        /// As many as are wanted: the usual one.
        @Test(arguments: [0, 1, 2, 3])
        func fewHoldersCostMore(others: Int) async throws {
            let blob = try Self.blob.get()
            let all = blob.plain.count
            try await withSwarm { swarm in
                let server = try await swarm.start {
                    try blob.install(in: $0.store, shards: blob.shards)
                }
                let reader = try await swarm.start(peers: [server])
                for number in 0..<others {
                    let other = Digest(words: (UInt64(number), 7, 7, 7))
                    for shard in blob.shards {
                        reader.node.credit.prices.verified(other, has: .init(blob.id, shard))
                        // Known already, so that its first leaf costs what its last one does.
                        reader.node.credit.prices.verified(
                            server.peerID, has: .init(blob.id, shard))
                    }
                }
                #expect(try await reader.readAll(blob.record) == blob.plain)
                let price = [1732, 1225, 1000, 1000][others]
                try await expectEven(
                    server, reader, bytes: all, Mills(bytes: all, price: price))
            }
        }

        /// Holders count when they have given a right leaf, and not when they say that they could.
        @Test func holdersProveThemselvesByLeaves() async throws {
            let blob = try Self.blob.get()
            try await withSwarm { swarm in
                var servers: [LoopbackNode] = []
                for _ in 0..<3 {
                    servers.append(
                        try await swarm.start {
                            try blob.install(in: $0.store, shards: blob.shards)
                        })
                }
                let reader = try await swarm.start(peers: servers)
                let areMet = await eventually { reader.node.peerCount == 3 }
                #expect(areMet)
                #expect(try await reader.readAll(blob.record) == blob.plain)
                let prices = reader.node.credit.prices
                for shard in 0..<2 {
                    let key = RarityBook.Shard(blob.id, ShardIndex(shard))
                    let givers = servers.count { server in
                        (server.account(of: reader.peerID)?.givenBytes ?? 0) > 0
                    }
                    let known = [1732: 1, 1225: 2, 1000: 3][
                        prices.price(of: key, ask: 4000) ?? 1000]
                    #expect(known ?? 0 <= givers)
                }
                for server in servers {
                    let isEven = await eventually {
                        guard let given = server.account(of: reader.peerID) else { return true }
                        return given.unsigned == .zero
                            && given.balance
                                + (reader.account(of: server.peerID)?.balance ?? .zero) == .zero
                    }
                    #expect(isEven)
                }
            }
        }

        /// What is held for others is free, and counted as bytes that went.
        @Test func copiesAreFree() async throws {
            let blob = try Self.blob.get()
            try await withSwarm { swarm in
                let server = try await swarm.start {
                    try blob.install(in: $0.store, shards: blob.shards)
                }
                let holder = try await swarm.start(peers: [server])
                let session = try await holder.node.open(blob.id, relayKey: blob.relayKey)
                // Another work gets one of them, too, and ends first.
                session.beginCopying([blob.shards[0]])
                session.beginCopying([blob.shards[0]])
                session.endCopying([blob.shards[0]])
                #expect(session.isCopied(blob.shards[0]) && !session.isCopied(blob.shards[1]))
                session.endCopying([blob.shards[0]])
                #expect(!session.isCopied(blob.shards[0]))
                try await holder.node.fetchCopies(session, shards: blob.shards) { _ in }
                #expect(session.copies.load(ordering: .relaxed) == 0)
                try await expectEven(server, holder, bytes: Self.bytes(blob, blob.shards), .zero)
            }
        }

        private static func bytes(_ blob: SampleBlob, _ shards: [ShardIndex]) -> Int {
            shards.reduce(0) { $0 + blob.geometry.shardLength($1) }
        }

        /// A holder that two peers with funds bought a group of pays half for another shard of it;
        /// one peer is not enough, and neither is who has no funds.
        @Test(arguments: [0, 1, 2])
        func copiesInDemandCostHalf(payers: Int) async throws {
            let blob = try Self.blob.get()
            try await withSwarm { swarm in
                // They have something that the holder reads, or have not.
                var buyers: [LoopbackNode] = []
                var gifts: [SampleBlob] = []
                for number in 0..<2 {
                    let gift = try SampleBlob(
                        seed: 110 + UInt64(number), size: 12 * Limits.cellBytes, dataShards: 2,
                        groupShards: 3)
                    gifts.append(gift)
                    buyers.append(
                        try await swarm.start {
                            try gift.install(in: $0.store, shards: gift.shards)
                        }
                    )
                }
                let holder = try await swarm.start(peers: buyers) {
                    try blob.install(in: $0.store, shards: [ShardIndex(0), ShardIndex(1)])
                }
                let areMet = await eventually { holder.node.peerCount == 2 }
                #expect(areMet)
                for number in 0..<payers {
                    _ = try await holder.readAll(gifts[number].record)
                }
                for buyer in buyers {
                    #expect(try await buyer.readAll(blob.record) == blob.plain)
                }
                let group = DemandBook.Group(blob.id, 0)
                if payers == 2 {
                    let isKnown = await eventually {
                        holder.node.credit.prices.copyPrice(of: group) == 500
                    }
                    #expect(isKnown)
                } else {
                    // All that was sold has been looked at.
                    holder.node.credit.noteSales()
                    #expect(holder.node.credit.prices.copyPrice(of: group) == 0)
                }
                for buyer in buyers { await swarm.stop(buyer) }
                let server = try await swarm.start {
                    try blob.install(in: $0.store, shards: blob.shards)
                }
                holder.node.dial([server.endpoint])
                let session = try await holder.node.open(blob.id, relayKey: blob.relayKey)
                let shard = ShardIndex(2)
                try await holder.node.fetchCopies(session, shards: [shard]) { _ in }
                let bytes = Self.bytes(blob, [shard])
                try await expectEven(
                    server, holder, bytes: bytes,
                    payers == 2 ? Mills(bytes: bytes, price: 500) : .zero)
            }
        }
    }
}
