import NIOCore
import PetalsCodec
import PetalsCore
import PetalsStore
import PetalsTesting
import Synchronization
import Testing

@testable import ShardFetch

extension Swarms {
    /// Catalogues between real nodes: news travels, and what is wrong is refused with the reason.
    @Suite(.serialized) struct CatalogueTests {
        /// A moment at which what these tests sign is new.
        private let now = UTCDay.secondsNow

        private func row(_ sample: SampleCatalogue) -> CatalogueRow {
            CatalogueRow(id: sample.id, isFollowed: true, name: "hint", addedAt: now)
        }

        private func grown(_ count: Int, of seed: UInt8 = 1) throws -> SampleCatalogue {
            var sample = try SampleCatalogue(seed: seed)
            for number in 1..<max(count, 1) {
                try sample.add(.entry(SampleCatalogue.entry("model-\(number)")))
            }
            return sample
        }

        /// Has a node sign, as its owner's node does.
        private func sign(_ sample: SampleCatalogue, on node: LoopbackNode) throws {
            let registry = node.store.registry
            if try registry.catalogue(sample.id) == nil { try registry.keep(row(sample)) }
            let head = try sample.checkedHead(now: now)
            #expect(try registry.accept(head, log: sample.log, heardAt: now))
            try node.node.reloadCatalogues()
        }

        private func sequence(_ node: LoopbackNode, _ sample: SampleCatalogue) -> Int? {
            // A registry that cannot be read has no sequence.
            (try? node.store.registry.catalogue(sample.id))?.head?.head.sequence
        }

        /// Owner, a follower that knows him, and one that knows only the follower: what is there
        /// comes at once, and what is added comes to both without being asked for.
        @Test func newsTravelsFromNodeToNode() async throws {
            let sample = try grown(3)
            try await withSwarm { swarm in
                let owner = try await swarm.start()
                try sign(sample, on: owner)
                let near = try await swarm.start(peers: [owner])
                let far = try await swarm.start(peers: [near])
                let heard = Atomic<Int>(0)
                far.node.observeCatalogues { id in
                    if id == sample.id { heard.wrappingAdd(1, ordering: .relaxed) }
                }
                for node in [near, far] {
                    try node.store.registry.keep(row(sample))
                    try node.node.reloadCatalogues()
                }
                for count in 3...6 {
                    if count > 3 { try sign(grown(count), on: owner) }
                    for node in [near, far] {
                        let came = await eventually { sequence(node, sample) == count }
                        #expect(came)
                    }
                }
                #expect(try far.store.registry.catalogueModels().count == 5)
                let told = await eventually { heard.load(ordering: .relaxed) == 4 }
                #expect(told)
                #expect(near.node.catalogueFacts(sample.id).refusals.isEmpty)
                #expect(near.node.catalogueFacts(sample.id).peers == 2)
            }
        }

        /// A node that comes back with an older head learns the newer one, and takes nothing back.
        @Test func aRollbackIsRefusedAndSaid() async throws {
            let (old, new) = (try grown(2), try grown(5))
            try await withSwarm { swarm in
                let fresh = try await swarm.start()
                try sign(new, on: fresh)
                let stale = try await swarm.start()
                try sign(old, on: stale)
                let follower = try await swarm.start(peers: [fresh, stale])
                try follower.store.registry.keep(row(new))
                try follower.node.reloadCatalogues()
                for node in [follower, stale] {
                    let came = await eventually { sequence(node, new) == 5 }
                    #expect(came)
                }
                // Again by somebody who insists.
                let (client, topic) = try await self.client(of: follower, old)
                client.send(.catalogueNews(topic, old.head(now: now).serialized()))
                let said = await eventually {
                    follower.node.catalogueFacts(old.id).refusals
                        .contains { $0.reason.contains("sequence 2, and 5 is known") }
                }
                #expect(said)
                #expect(sequence(follower, new) == 5 && !client.isClosed)
                client.channel.close(promise: nil)
            }
        }

        /// A peer that has greeted, and the topic of a catalogue.
        private func client(
            of node: LoopbackNode, _ sample: SampleCatalogue
        ) async throws -> (RawPeer, Topic) {
            let client = try await RawPeer.dial(
                node.endpoint, identity: NodeIdentity(seed: Array(repeating: 5, count: 32)))
            let isGreeted = await eventually { !client.frames.isEmpty }
            #expect(isGreeted)
            return (client, KeyDerivation.topic(ofCatalogue: sample.id, day: UTCDay.today))
        }

        /// Each way in which a head is wrong, told by a peer: nothing changes, the reason is kept,
        /// and whoever tells what nobody can have checked is left out.
        @Test func wrongHeadsAreRefusedWithTheReason() async throws {
            let sample = try grown(3)
            let (delegate, thief) = (SigningIdentity(), SigningIdentity())
            var next = try grown(4)
            let forged = CatalogueSigning.sign(
                next.log, owner: next.id, signer: thief, issue: 0, now: now)
            let future = next.head(now: now + 2 * CatalogueSigning.clockDifferenceMax)
            next.issue = 7
            let expired = next.head(
                signer: delegate,
                delegation: try next.delegation(
                    to: delegate, issue: 7, from: now - 9_000, until: now - 8_000),
                now: now - 8_500)
            let early = next.head(
                signer: delegate,
                delegation: try next.delegation(
                    to: delegate, issue: 7, from: now + 8_000, until: now + 9_000), now: now)
            let foreign = next.head(
                signer: thief, delegation: try grown(1, of: 2).delegation(to: thief, issue: 7),
                now: now)
            var cut = next.head(now: now).serialized()
            cut.removeLast(70)
            let wrong: [(head: [UInt8], reason: String, isBlamed: Bool)] = [
                (forged.serialized(), "forged", true), (cut, "", true),
                (foreign.serialized(), "delegation is forged", true),
                (future.serialized(), "clock", false), (expired.serialized(), "expired", false),
                (early.serialized(), "not begun", false),
            ]
            for (head, reason, isBlamed) in wrong {
                try await withSwarm { swarm in
                    let follower = try await swarm.start()
                    try sign(sample, on: follower)
                    let (client, topic) = try await client(of: follower, sample)
                    client.send(.catalogueNews(topic, head))
                    let said = await eventually {
                        follower.node.catalogueFacts(sample.id).refusals
                            .contains { $0.reason.contains(reason) }
                    }
                    #expect(said, "\(reason)")
                    if isBlamed {
                        let isClosed = await eventually { client.isClosed }
                        #expect(isClosed, "\(reason)")
                    } else {
                        #expect(!client.isClosed, "\(reason)")
                    }
                    #expect(sequence(follower, sample) == 3)
                    #expect(follower.log.all.contains { $0.contains("is refused: ") })
                    client.channel.close(promise: nil)
                }
            }
        }

        /// Two stories of one length, and a longer one that leaves the known one: both are refused,
        /// and kept as proof over a restart.
        @Test func twoStoriesAreRefusedAndKept() async throws {
            let sample = try grown(4)
            var same = try grown(3)
            try same.add(.withdrawn("model-1"))
            var longer = same
            try longer.add(.title("Other"))
            for (number, story) in [same, longer].enumerated() {
                try await withSwarm { swarm in
                    let follower = try await swarm.start()
                    try sign(sample, on: follower)
                    let liar = try await swarm.start(peers: [follower]) { node in
                        try node.store.registry.keep(row(story))
                        _ = try node.store.registry.accept(
                            story.checkedHead(now: now), log: story.log, heardAt: now)
                    }
                    let kept = await eventually {
                        // A registry that cannot be read has none.
                        (try? follower.store.registry.evidence(against: sample.id))?.count == 1
                    }
                    #expect(kept, "\(number)")
                    #expect(sequence(follower, sample) == 4)
                    let proof = try #require(
                        try follower.store.registry.evidence(against: sample.id).first)
                    #expect(try proof.known.body == sample.checkedHead(now: now).signed.body)
                    #expect(try proof.offered.body == story.checkedHead(now: now).signed.body)
                    #expect(
                        follower.node.catalogueFacts(sample.id).refusals
                            .contains { $0.reason.contains("two stories") })
                    #expect(liar.node.catalogueFacts(sample.id).peers == 1)
                }
            }
        }

        /// What an owner signs under a higher issue counts, though it is another log; what the
        /// former delegate signs after that does not.
        @Test func aHigherIssueEndsALowerOne() async throws {
            let (former, present) = (SigningIdentity(), SigningIdentity())
            var stolen = try grown(9)
            stolen.issue = 1
            var right = try grown(3)
            right.issue = 2
            let stolenHead = stolen.head(
                signer: former, delegation: try stolen.delegation(to: former, issue: 1, from: now),
                now: now)
            let story = right
            let rightHead = right.head(
                signer: present, delegation: try right.delegation(to: present, issue: 2, from: now),
                now: now)
            try await withSwarm { swarm in
                let follower = try await swarm.start()
                try follower.store.registry.keep(row(right))
                let stolenChecked = try CatalogueSigning.check(stolenHead, of: right.id, now: now)
                #expect(
                    try follower.store.registry.accept(
                        stolenChecked, log: stolen.log, heardAt: now))
                try follower.node.reloadCatalogues()
                let owner = try await swarm.start(peers: [follower]) { node in
                    try node.store.registry.keep(row(story))
                    let checked = try CatalogueSigning.check(rightHead, of: story.id, now: now)
                    _ = try node.store.registry.accept(checked, log: story.log, heardAt: now)
                }
                let came = await eventually { sequence(follower, story) == 3 }
                #expect(came)
                let (client, topic) = try await self.client(of: follower, right)
                client.send(.catalogueNews(topic, stolenHead.serialized()))
                let said = await eventually {
                    follower.node.catalogueFacts(story.id).refusals
                        .contains { $0.reason.contains("the owner has replaced") }
                }
                #expect(said)
                #expect(sequence(follower, right) == 3 && sequence(owner, right) == 3)
                client.channel.close(promise: nil)
            }
        }

        /// A right head whose teller gives no log, or another one: the next who tells is asked.
        @Test func aLogIsTakenFromWhoeverGivesIt() async throws {
            let (old, new) = (try grown(2), try grown(6))
            try await withSwarm { swarm in
                let follower = try await swarm.start()
                try sign(old, on: follower)
                let (client, topic) = try await client(of: follower, old)
                client.send(.catalogueNews(topic, new.head(now: now).serialized()))
                // It is asked for the log, and keeps silent.
                let isAsked = await eventually {
                    client.frames.contains {
                        if case .control(.getDocument) = $0 { true } else { false }
                    }
                }
                #expect(isAsked)
                let honest = try await swarm.start(peers: [follower]) { node in
                    try node.store.registry.keep(row(new))
                    _ = try node.store.registry.accept(
                        new.checkedHead(now: now), log: new.log, heardAt: now)
                }
                let came = await eventually { sequence(follower, new) == 6 }
                #expect(came && sequence(honest, new) == 6)
                client.channel.close(promise: nil)
            }
        }

        /// Who does not follow a catalogue is told nothing of it.
        @Test func strangersHearNothing() async throws {
            let sample = try grown(2)
            try await withSwarm { swarm in
                let owner = try await swarm.start()
                try sign(sample, on: owner)
                let (client, topic) = try await client(of: owner, sample)
                client.send(.ping(4))
                let isAnswered = await eventually {
                    client.frames.contains {
                        if case .control(.pong(4)) = $0 { true } else { false }
                    }
                }
                #expect(isAnswered)
                @Sendable func news() -> Int {
                    client.frames.filter {
                        if case .control(.catalogueNews) = $0 { true } else { false }
                    }.count
                }
                #expect(news() == 0)
                client.send(.followCatalogues([topic]))
                let isTold = await eventually { news() == 1 }
                #expect(isTold)
                client.channel.close(promise: nil)
            }
        }

        /// A node that knows of a catalogue by the DHT alone finds its delegate by the owner's
        /// item, and hears that there is a head.
        @Test func aHeadIsHeardOfByTheDHT() async throws {
            let network = DHTLoopback()
            let delegate = SigningIdentity()
            var sample = try grown(4)
            sample.issue = 9
            let delegation = try sample.delegation(to: delegate, issue: 9, from: now)
            let head = sample.head(signer: delegate, delegation: delegation, now: now)
            let first = try DHTNode(host: network.host(2))
            try await withNodes([first]) {
                try await first.start(port: 1)
                let writer = try DHTNode(host: network.host(3), bootstrap: [first.endpoint])
                let reader = try DHTNode(host: network.host(4), bootstrap: [first.endpoint])
                try await withNodes([writer, reader]) {
                    try await writer.start(port: 1)
                    try await reader.start(port: 1)
                    let found = Mutex<[MutableItem]>([])
                    reader.table.observeItems { item in found.withLock { $0.append(item) } }
                    let contents = [CatalogueItem.delegation(delegation), .head(head)]
                    writer.table.setItems(puts: contents.compactMap(\.item), gets: [])
                    let salt = CatalogueItem.salt(sample.id)
                    for content in contents {
                        reader.table.setItems(
                            puts: [], gets: [.init(key: content.key.bytes, salt: salt)])
                        let came = await eventually {
                            found.withLock { $0.contains { $0 == content.item } }
                        }
                        #expect(came)
                    }
                    // What came is what was signed, and leads from the owner to the head.
                    let items = found.withLock { $0 }
                    let values = items.compactMap { try? CatalogueItem(value: $0.value) }
                    #expect(values.contains { $0.owner == sample.id && $0.key == sample.id })
                    #expect(values.contains { $0.key.bytes == delegate.publicKey })
                }
            }
        }
    }
}
