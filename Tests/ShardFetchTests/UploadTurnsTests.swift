import PetalsCore
import Testing

@testable import ShardFetch

/// Who gets what of a line that is never enough: shares against those that the rules say.
@Suite struct UploadTurnsTests {
    private func standing(
        _ tier: CreditStanding.Tier, weight: Int64 = 1, funds: Int = 1 << 40, group: String = ""
    ) -> CreditStanding {
        CreditStanding(
            tier: tier, weight: Mills(weight), funds: Mills(bytes: funds), group: group)
    }

    /// Bytes that each of some peers got of a megabyte a second in ten minutes.
    private func shares(
        _ standings: [CreditStanding], demand: Bool = true, bulk: Bool = false
    ) -> [Double] {
        var plan = UploadPlan(limit: 1_000_000, now: 0)
        var now = 0.0
        var bytes = [Double](repeating: 0, count: standings.count)
        let waiting = standings.enumerated().map { place, standing in
            UploadPlan.Waiting(
                connection: .init(rawValue: place), peer: Digest(words: (UInt64(place), 0, 0, 0)),
                hasDemand: demand, hasBulk: bulk, standing: standing)
        }
        while now < 600 {
            switch plan.next(of: waiting, yields: false, now: now) {
            case .serve(let id, let isBulk, let leaves):
                let one = waiting[id.rawValue]
                plan.sent(
                    leaves * Limits.leafBytes, to: one.peer, as: one.standing, bulk: isBulk,
                    now: now)
                bytes[id.rawValue] += Double(leaves * Limits.leafBytes)
            case .wait(let seconds): now += max(seconds, 0.001)
            case .rest: return bytes
            }
        }
        #expect(plan.isContended(now: now) == (standings.count > 1))
        let sum = bytes.reduce(0, +)
        #expect(abs(sum / 600e6 - 1) < 0.02, "nothing is left over")
        return bytes.map { $0 / sum }
    }

    private func expect(_ found: [Double], _ wanted: [Double], within part: Double = 0.01) {
        #expect(zip(found, wanted).allSatisfy { abs($0 - $1) <= part }, "\(found)")
    }

    /// Who has to sign first is kept from what another gets; alone he is not.
    @Test(arguments: [false, true])
    func whoHasToSignFirstContends(isOther: Bool) {
        var plan = UploadPlan(limit: 1_000_000, now: 0)
        func waiting(_ place: Int, _ peer: UInt64, hasDemand: Bool) -> UploadPlan.Waiting {
            UploadPlan.Waiting(
                connection: .init(rawValue: place), peer: Digest(words: (peer, 0, 0, 0)),
                hasDemand: hasDemand, hasBulk: false)
        }
        let all = [waiting(1, 1, hasDemand: true), waiting(2, isOther ? 2 : 1, hasDemand: false)]
        guard case .wait = plan.next(of: all, yields: false, now: 0) else {
            Issue.record("an empty line does not have anybody wait")
            return
        }
        #expect(plan.isContended(now: 0.1) == isOther)
        #expect(plan.next(of: [all[1]], yields: false, now: 10) == .rest)
    }

    @Test func newcomersHaveThePoolHoweverMany() {
        for count in [1, 10, 100] {
            let strangers = (0..<count).map { standing(.newcomer, group: "\($0)") }
            let found = shares([standing(.funded, weight: 1000)] + strangers)
            #expect(abs(found[0] - 0.95) <= 0.002, "\(count): \(found[0])")
        }
    }

    @Test func fundsShareByWhatWasGiven() {
        expect(
            shares([
                standing(.funded, weight: 60_000), standing(.funded, weight: 30_000),
                standing(.funded, weight: 10_000),
            ]), [0.6, 0.3, 0.1])
    }

    @Test func aNetworkOfManyHasOneShareOfThePool() {
        let crowd = (0..<9).map { _ in standing(.newcomer, group: "crowd") }
        let found = shares([standing(.newcomer, group: "one")] + crowd)
        expect(found, [0.5] + Array(repeating: 0.5 / 9, count: 9))
    }

    @Test func whoSpentItComesAfterFundsAndBeforeThePoolsRest() {
        expect(
            shares([
                standing(.funded, weight: 1), standing(.overdrawn, weight: 1_000_000),
                standing(.newcomer),
            ]), [0.95, 0, 0.05])
        expect(shares([standing(.overdrawn, weight: 9), standing(.newcomer)]), [0.95, 0.05])
    }

    @Test func idleHasWhatNobodyWantsAndAllOfThat() {
        expect(shares([standing(.newcomer), standing(.idle)]), [1, 0])
        expect(shares([standing(.idle), standing(.idle)]), [0.5, 0.5])
        expect(shares([standing(.newcomer)]), [1])
    }

    /// A turn is no longer than what the peer has funds for, and never nothing.
    @Test func aTurnIsWithinFunds() {
        for (funds, leaves) in [(1, 1), (3 * Limits.leafBytes, 3), (1 << 30, 16)] {
            var plan = UploadPlan(limit: nil, now: 0)
            let one = UploadPlan.Waiting(
                connection: .init(rawValue: 1), peer: .zero, hasDemand: true, hasBulk: false,
                standing: standing(.funded, funds: funds))
            let decision = plan.next(of: [one], yields: false, now: 0)
            #expect(decision == .serve(.init(rawValue: 1), bulk: false, leavesMax: leaves))
        }
    }
}

/// What is rare by what was verified, and what was paid for.
@Suite struct RarityTests {
    private let shard = RarityBook.Shard(Digest(words: (5, 0, 0, 0)), ShardIndex(2))
    private let day = 86_400

    private func peer(_ number: Int) -> PeerID { Digest(words: (UInt64(number), 1, 0, 0)) }

    @Test func thePriceIsTheRootOfWhatIsMissing() {
        let prices = (0...6).map { RarityBook.price(holders: $0, wanted: 3) }
        #expect(prices == [1732, 1732, 1225, 1000, 1000, 1000, 1000])
        #expect(RarityBook.price(holders: 1, wanted: .max) == 4000)
        #expect(RarityBook.agreed(ask: 4000, offer: 1225) == 1225)
        #expect(RarityBook.agreed(ask: -1, offer: 1000) == 0)
    }

    @Test func holdersCountThatWereVerifiedWithinADay() {
        var book = RarityBook()
        book.verified(peer(1), has: shard, at: 100)
        book.verified(peer(1), has: shard, at: 200)
        #expect(book.count(of: shard, at: 200) == 1, "one peer is one holder")
        // Noted anew once an hour is enough.
        #expect(book.count(of: shard, at: 100 + day) == 0)
        book.verified(peer(1), has: shard, at: 5000)
        book.verified(peer(2), has: shard, at: 300)
        #expect(book.count(of: shard, at: 5000) == 2)
        #expect(
            book.count(of: shard, at: 299 + day) == 2 && book.count(of: shard, at: 300 + day) == 1)
        book.refuted(peer(2), shard)
        #expect(book.count(of: shard, at: 5000) == 1)
        let other = RarityBook.Shard(shard.blob, ShardIndex(3))
        #expect(book.count(of: other, at: 5000) == 0)
    }

    /// What is paid at most for a number of holders, for each ask: never more than either, and the
    /// usual price is not said.
    @Test func thePriceIsWhatBothAgreeTo() {
        let asks = [1, 999, 1000, 1001, 1225, 1500, 1732, 4000]
        for holders in 0...4 {
            let prices = CreditPrices { 100 }
            for number in 0..<holders { prices.verified(peer(number), has: shard) }
            let cap = [1732, 1732, 1225, 1000, 1000][holders]
            for ask in asks {
                let agreed = min(ask, cap)
                #expect(prices.price(of: shard, ask: ask) == (agreed > 1000 ? agreed : nil))
            }
        }
    }

    /// Of two holders that are expected equally soon, the one that asks less is asked.
    @Test(arguments: 0...1) func theCheaperHolderIsAsked(cheap: Int) throws {
        var swarm = try SchedulerSwarm(
            seed: 3,
            geometry: BlobGeometry(
                storedLength: 40 * Limits.cellBytes, dataShards: 2, groupShards: 4,
                rowsPerGroup: 700))
        let peers = (0...1).map { _ in swarm.join(shards: [0, 1, 2, 3]) }
        swarm.scheduler.asks(peers[1 - cheap], CreditPrices.ask)
        swarm.scheduler.want(swarm.cell(0, 0), leaves: LeafSet(0..<1), urgency: .demand)
        let asked = swarm.scheduler.advance(now: swarm.now) { _ in .none }
            .compactMap { action -> FetchScheduler.Peer? in
                guard case .request(_, let peer, _, _, _) = action else { return nil }
                return peer
            }
        #expect(asked == [peers[cheap]])
        var dearest = PeerModel()
        dearest.ask = CreditTerms.highestPrice
        #expect(dearest.cost(ofSeconds: 1) < 2, "who is twice as fast is asked at any price")
    }

    @Test func replicationPaysOnlyWhereTwoPaid() {
        let funded = CreditStanding(
            tier: .funded, weight: Mills(1), funds: Mills(1), group: "")
        var book = DemandBook()
        let group = DemandBook.Group(shard.blob, 0)
        for number in 0..<100 {
            let counts = book.sent(
                group, to: peer(number), standing: .stranger(group: ""), price: 1000, at: 5)
            #expect(!counts)
        }
        #expect(book.replicationPrice(of: group, at: 5) == 0)
        for at in [5, 6] {
            let counts = book.sent(group, to: peer(1), standing: funded, price: 1000, at: at)
            #expect(counts)
        }
        #expect(book.replicationPrice(of: group, at: 6) == 0)
        _ = book.sent(group, to: peer(2), standing: funded, price: 1000, at: 6)
        #expect(book.replicationPrice(of: group, at: 7) == 500)
        #expect(book.replicationPrice(of: group, at: 6 + day) == 0)
        let isPaid = book.sent(group, to: peer(3), standing: funded, price: 0, at: 8)
        #expect(!isPaid)
    }
}
