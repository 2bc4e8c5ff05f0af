import NIOCore
import PetalsCodec
import PetalsCore
import PetalsStore
import PetalsTesting
import Synchronization
import Testing

@testable import ShardFetch

extension Swarms {
    /// What a node sends of what it has: never more than it may, and nothing that is not wanted.
    @Suite(.serialized) struct UploadTests {
        static let blob = Result {
            try SampleBlob(
                seed: 61, size: 6 * Limits.cellBytes, dataShards: 2, groupShards: 4)
        }

        /// A source of peers that finds nobody and remembers what is announced.
        private final class Witness: PeerSource {
            private let topics = Mutex<Set<Topic>>([])
            var announced: Set<Topic> { topics.withLock { $0 } }

            func start(
                listenPort: Int, found: @escaping @Sendable ([PeerHint]) -> Void
            ) async throws(PetalsError) {}
            func announce(_ topic: Topic) { topics.withLock { _ = $0.insert(topic) } }
            func withdraw(_ topic: Topic) { topics.withLock { _ = $0.remove(topic) } }
            func find(_ topic: Topic) {}
            func stop() async {}
        }

        private func schedule(_ limit: String?, _ times: String? = nil) throws -> UploadSchedule {
            try UploadSchedule(limit: limit, times: times)
        }

        /// At 0 nothing is claimed, announced or sent, by the counters of both sides; when the
        /// hour comes the same read goes on, and after it what was told is taken back.
        @Test func nothingIsSentUntilTheTimeTableAllowsIt() async throws {
            let blob = try Self.blob.get()
            try await withSwarm { swarm in
                let witness = Witness()
                var options = LoopbackNode.Options()
                options.uploads = try schedule("0", "10:00-11:00=none")
                options.sources = [(.dht, witness)]
                options.minuteOfDay = { Self.minute.load(ordering: .relaxed) }
                Self.minute.store(0, ordering: .relaxed)
                let holder = try await swarm.start(options) {
                    try blob.install(in: $0.store, shards: blob.shards)
                }
                let reader = try await swarm.start(peers: [holder])
                let read = Task { try await reader.readAll(blob.record) }
                let isStuck = await eventually {
                    reader.node.engine.state.withLock { !$0.scheduler.stuckKeys.isEmpty }
                }
                #expect(isStuck)
                // Whoever asks without having been told is refused.
                try await self.expectRefusal(holder, blob)
                #expect(reader.holderCount(blob, ShardIndex(0)) == 0)
                #expect(witness.announced.isEmpty)
                let silent = holder.node.status()
                #expect(silent.servedBytes == 0 && silent.upload.bytes == 0)
                #expect(silent.upload.limit == 0)
                #expect(reader.node.status().fetchedBytes == 0)

                Self.minute.store(600, ordering: .relaxed)
                #expect(try await read.value == blob.plain)
                let isAnnounced = await eventually { !witness.announced.isEmpty }
                #expect(isAnnounced && holder.node.status().upload.limit == nil)
                #expect(holder.node.status().upload.bytes > blob.plain.count)

                Self.minute.store(660, ordering: .relaxed)
                let isForgotten = await eventually {
                    reader.holderCount(blob, ShardIndex(0)) == 0 && witness.announced.isEmpty
                }
                #expect(isForgotten)
            }
        }

        private static let minute = Atomic<Int>(0)

        /// A raw client, greeted, that has joined the blob's topic.
        private func client(
            of node: LoopbackNode, _ blob: SampleBlob, seed: UInt8 = 5
        ) async throws -> (RawPeer, Topic) {
            let client = try await RawPeer.dial(
                node.endpoint, identity: NodeIdentity(seed: Array(repeating: seed, count: 32)))
            let isGreeted = await eventually { !client.frames.isEmpty }
            #expect(isGreeted)
            let topic = KeyDerivation.topic(blob.relayKey, of: blob.id, day: UTCDay.today)
            client.send(.join(topic))
            return (client, topic)
        }

        private func request(
            _ number: UInt32, _ topic: Topic, shard: Int, cell: Int, bulk: Bool = false
        ) -> ControlMessage {
            .request(
                .init(
                    request: number, topic: topic,
                    address: CellAddress(shard: ShardIndex(shard), cell: CellIndex(cell)),
                    leaves: 0..<16, bulk: bulk))
        }

        /// Asks a node that sends a leaf a second and a half for so many cells, which wait then.
        private func cellsThatWait(
            _ count: Int, _ blob: SampleBlob, _ swarm: Swarm
        ) async throws -> (holder: LoopbackNode, client: RawPeer) {
            var options = LoopbackNode.Options()
            options.uploads = try schedule("16KiB")
            let holder = try await swarm.start(options) {
                try blob.install(in: $0.store, shards: blob.shards)
            }
            let (client, topic) = try await client(of: holder, blob)
            for number in 0..<count {
                client.send(request(UInt32(number), topic, shard: number % 2, cell: number / 2))
            }
            let waits = await eventually { holder.node.status().upload.waiting == count }
            #expect(waits)
            return (holder, client)
        }

        private func expectRefusal(_ node: LoopbackNode, _ blob: SampleBlob) async throws {
            let (client, topic) = try await client(of: node, blob)
            client.send(request(1, topic, shard: 0, cell: 0))
            client.send(.getCellLayer(request: 2, topic: topic, shard: ShardIndex(0)))
            let refused = await eventually {
                client.frames.filter {
                    if case .control(.refuse) = $0 { return true }
                    return false
                }.count == 2
            }
            #expect(refused)
            client.channel.close(promise: nil)
        }

        /// Bytes of leaves that a raw client got, by request.
        private func leaves(_ client: RawPeer) -> [UInt32: Int] {
            client.frames.reduce(into: [:]) { sums, frame in
                if case .data(let header, _, let bytes) = frame {
                    sums[header.request, default: 0] += bytes.count
                }
            }
        }

        /// Six cells are asked of a node that sends a leaf a second and a half, five of them given
        /// up: what leaves is a few leaves, and when the limit is lifted the one cell.
        @Test func whatIsCancelledCostsNothing() async throws {
            let blob = try Self.blob.get()
            try await withSwarm { swarm in
                let (holder, client) = try await cellsThatWait(6, blob, swarm)
                // The first may have begun.
                for number in 1..<6 { client.send(.cancel(request: UInt32(number))) }
                let isCancelled = await eventually { holder.node.status().upload.waiting <= 1 }
                #expect(isCancelled)
                holder.node.setUploads(.unlimited)
                let isWhole = await eventually { leaves(client)[0] == Limits.cellBytes }
                #expect(isWhole)
                #expect(leaves(client).keys.sorted() == [0])
                let isCounted = await eventually {
                    holder.node.status().servedBytes == Limits.cellBytes
                }
                #expect(isCounted)
                client.channel.close(promise: nil)
            }
        }

        /// When the limit becomes 0 all that waits is refused, and the connection stays.
        @Test func aNodeThatStopsSendingSaysSo() async throws {
            let blob = try Self.blob.get()
            try await withSwarm { swarm in
                let (holder, client) = try await cellsThatWait(4, blob, swarm)
                holder.node.setUploads(try schedule("0"))
                let isRefused = await eventually {
                    client.frames.filter {
                        if case .control(.refuse(_, .notHeld)) = $0 { return true }
                        return false
                    }.count == 4
                }
                #expect(isRefused)
                client.send(.ping(7))
                let isAlive = await eventually {
                    client.frames.contains {
                        if case .control(.pong(7)) = $0 { return true }
                        return false
                    }
                }
                #expect(isAlive && !client.isClosed)
                client.channel.close(promise: nil)
            }
        }

        /// Of two holders one sends a leaf a second: the reader takes its cells to the other.
        @Test func aLimitedHolderIsGoneRound() async throws {
            let blob = try Self.blob.get()
            try await withSwarm { swarm in
                var options = LoopbackNode.Options()
                options.uploads = try schedule("16KiB")
                let slow = try await swarm.start(options) {
                    try blob.install(in: $0.store, shards: blob.shards)
                }
                let fast = try await swarm.start {
                    try blob.install(in: $0.store, shards: blob.shards)
                }
                let reader = try await swarm.start(peers: [slow, fast])
                let both = await eventually {
                    reader.node.peerCount == 2
                }
                #expect(both)
                #expect(try await reader.readAll(blob.record) == blob.plain)
                #expect(fast.node.status().servedBytes > slow.node.status().servedBytes)
                #expect(reader.node.peerCount == 2, "who makes others wait is no offender")
            }
        }

        /// One client asks for all at once, the other for one cell after it: the second does not
        /// wait for the first to have everything.
        @Test func oneWithManyRequestsDoesNotStarveAnother() async throws {
            let blob = try Self.blob.get()
            try await withSwarm { swarm in
                var options = LoopbackNode.Options()
                options.uploads = try schedule("1MiB")
                let holder = try await swarm.start(options) {
                    try blob.install(in: $0.store, shards: blob.shards)
                }
                let (greedy, topic) = try await client(of: holder, blob)
                for number in 0..<12 {
                    greedy.send(
                        request(UInt32(number), topic, shard: number % 4, cell: number / 4))
                }
                let waits = await eventually { holder.node.status().upload.waiting > 6 }
                #expect(waits)
                let (modest, _) = try await client(of: holder, blob, seed: 6)
                modest.send(request(1, topic, shard: 0, cell: 0))
                let isServed = await eventually { leaves(modest)[1] == Limits.cellBytes }
                #expect(isServed)
                let before = leaves(greedy).values.reduce(0, +)
                #expect(before < 12 * Limits.cellBytes)
                for peer in [greedy, modest] { peer.channel.close(promise: nil) }
            }
        }

        /// While a read of the holder's own waits, what others want in bulk still comes; and when
        /// it ends, what was held back goes on at once.
        @Test func bulkYieldsToOwnReadsAndIsNotStarved() async throws {
            let blob = try Self.blob.get()
            try await withSwarm { swarm in
                let holder = try await swarm.start {
                    try blob.install(in: $0.store, shards: blob.shards)
                }
                holder.node.engine.demand.begin()
                let (client, topic) = try await client(of: holder, blob)
                func ask(from first: UInt32) {
                    for number in 0..<12 {
                        client.send(
                            request(
                                first + UInt32(number), topic, shard: number % 4,
                                cell: number / 4, bulk: true))
                    }
                }
                ask(from: 0)
                let all = 12 * Limits.cellBytes
                let isServed = await eventually {
                    leaves(client).values.reduce(0, +) == all
                }
                #expect(isServed)
                ask(from: 100)
                holder.node.engine.demand.end()
                let isFree = await eventually {
                    leaves(client).values.reduce(0, +) == 2 * all
                }
                #expect(isFree)
                #expect(holder.node.status().upload.waiting == 0)
                client.channel.close(promise: nil)
            }
        }
    }
}
