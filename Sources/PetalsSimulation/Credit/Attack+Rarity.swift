internal import PetalsCore
internal import PetalsTesting
internal import ShardFetch

// Rarity that is made up, and junk that is rare by construction: attacks 11, 22.

extension Attack {
    /// A market of shards with real books of rarity and credit.
    private struct Trade {
        var prices: [Double] = []
        var priceMost = 0
        /// Credit that the colluders have with everybody, in mills.
        var gain = 0.0
        var violations: [String] = []
    }

    /// 5 % collude: they ask the highest price, and keep silent about each other, so that what some
    /// of them hold seems rarer than it is.
    private static func trade(_ scale: Scale, isCollusion: Bool) -> Trade {
        var generator = scale.generator
        let count = 100
        let colluders = Set(0..<5)
        let seconds = CreditMarket.epoch
        let shards = (0..<scale.count(400, least: 100)).map { number in
            RarityBook.Shard(AddressBook.peerID(10_000 + number), ShardIndex(0))
        }
        let holders = shards.map { _ in
            var all = Array(0..<count)
            all.shuffle(using: &generator)
            return Array(all.prefix(2 + Int(generator.next() % 7)))
        }
        var trade = Trade()
        for buyer in 5..<count {
            var ledger = CreditLedger(own: AddressBook.peerID(buyer), epoch: 1)
            var book = RarityBook()
            for place in 0..<30 {
                let index = (buyer * 37 + place * 11) % shards.count
                let known = holders[index].filter { $0 != buyer }
                let liars = known.filter(colluders.contains)
                // Of several colluders one shows itself.
                let visible =
                    isCollusion
                    ? known.filter { !colluders.contains($0) || $0 == liars[0] } : known
                for holder in visible {
                    book.verified(AddressBook.peerID(holder), has: shards[index], at: seconds)
                }
                let cap = book.price(of: shards[index], at: seconds)
                let honestAsk = RarityBook.price(holders: known.count, wanted: 3)
                let offers = visible.map { holder in
                    let lies = isCollusion && colluders.contains(holder)
                    let ask = lies ? CreditTerms.highestPrice : honestAsk
                    return (holder: holder, price: RarityBook.agreed(ask: ask, offer: cap))
                }.shuffled(using: &generator)
                guard let best = offers.min(by: { $0.price < $1.price }) else { continue }
                ledger.received(
                    bytes: 1 << 20, price: best.price, from: AddressBook.peerID(best.holder),
                    epoch: 1, now: 0, at: seconds)
                trade.prices.append(Double(best.price) / Double(CreditTerms.basePrice))
                trade.priceMost = max(trade.priceMost, best.price)
            }
            for one in colluders {
                let balance = ledger.accounts[AddressBook.peerID(one)]?.balance ?? .zero
                trade.gain += Double(balance.rawValue)
            }
            if let fault = ledger.check() { trade.violations.append(fault) }
        }
        return trade
    }

    static let rarity = Attack(11, "5 % hide each other and call what they have rare") { scale in
        let honest = trade(scale, isCollusion: false)
        let hostile = trade(scale, isCollusion: true)
        func mean(_ values: [Double]) -> Double {
            values.reduce(0, +) / Double(max(1, values.count))
        }
        return (
            [
                Measure(
                    "mean price, of that among honest", mean(hostile.prices) / mean(honest.prices),
                    atMost: 1.3),
                Measure("highest price", Double(hostile.priceMost) / 1000, atMost: 4, "fold"),
                Measure(
                    "colluders' credit, beyond that of honest holders",
                    100 * (hostile.gain / max(1, honest.gain) - 1), atMost: 10, "%"),
            ], honest.violations + hostile.violations
        )
    }

    static let junk = Attack(22, "1,000 junk models, wanted by 100 Sybils") { scale in
        var generator = scale.generator
        let donors = scale.count(40, least: 10)
        let seconds = CreditMarket.epoch
        let publisher = AddressBook.peerID(1)
        let models = scale.count(1000, least: 100)
        var net = Mills.zero
        var violations: [String] = []
        var wasted = 0
        var taken = 0
        for donor in 0..<donors {
            var ledger = CreditLedger(own: AddressBook.peerID(500 + donor), epoch: 1)
            var demand = DemandBook()
            var plan = try donationPlan(donor, real: 60)
            // What is listed is kept, and what is not is never even looked at.
            let listed = Set((0..<60).map(DonationPlan.Blob.init))
            for wish in 0..<models {
                let group = DemandBook.Group(AddressBook.peerID(10_000 + wish), 0)
                let sybil = AddressBook.peerID(1000 + Int(generator.next() % 100))
                ledger.met(sybil, group: "s", now: 0, at: seconds)
                var tally = CreditTally(sybil)
                let leaves = tally.give(1, of: &ledger, isContended: false, now: 0, at: seconds)
                guard leaves > 0 else { continue }
                tally.enter(in: &ledger, epoch: 1, now: 0, at: seconds)
                let counts = demand.sent(
                    group, to: sybil, standing: ledger.standing(of: sybil, at: seconds),
                    price: 1000, at: seconds)
                if counts {
                    plan.demanded(
                        Limits.leafBytes, of: .init(.init(wish % 60), ShardIndex(0)), now: 1)
                }
                // The clique gives the donor its junk, at what replication of it is worth.
                ledger.received(
                    bytes: 50_000_000,
                    price: demand.replicationPrice(of: group, at: seconds), from: publisher,
                    epoch: 1, now: 0, at: seconds)
            }
            for account in ledger.accounts.values { net += account.balance }
            for action in fill(&plan) {
                taken += 1
                if !listed.contains(action.blob) { wasted += 1 }
            }
            if let fault = ledger.check() { violations.append(fault) }
        }
        return (
            [
                Measure(
                    "the clique's credit", Double(net.rawValue), atMost: 0, "mills"),
                Measure(
                    "quota of junk", 100 * Double(wasted) / Double(max(1, taken)), atMost: 5,
                    "%"),
                Measure("shards that donors took", Double(taken), atLeast: 1),
            ], violations
        )
    }

    private static func donationPlan(_ number: Int, real: Int) throws -> DonationPlan {
        let geometry = try BlobGeometry.standard(storedLength: 400_000_000)
        var plan = DonationPlan(
            own: .init(UInt64(number + 1)), secret: UInt64(number), quota: 2_000_000_000)
        for blob in 0..<real {
            plan.add(
                .init(blob), id: AddressBook.peerID(20_000 + blob), geometry: geometry, now: 0)
        }
        plan.peerOpened(.init(900), domain: 900, now: 0)
        for blob in 0..<real {
            for shard in 0..<geometry.shardCount {
                plan.claims(
                    .init(900), .init(.init(blob), ShardIndex(shard)), isWhole: true, now: 0)
            }
        }
        return plan
    }

    /// Has a plan take what it wants until it is full.
    private static func fill(_ plan: inout DonationPlan) -> [DonationPlan.Shard] {
        var taken: [DonationPlan.Shard] = []
        for second in 2..<400 {
            for action in plan.advance(now: Double(second)) {
                switch action {
                case .take(let shard, let way):
                    plan.took(shard, way, now: Double(second))
                    taken.append(shard)
                case .audit(let peer, let shard):
                    plan.audited(peer, shard, .proved, now: Double(second))
                case .drop, .abandon: break
                }
            }
        }
        return taken
    }
}
