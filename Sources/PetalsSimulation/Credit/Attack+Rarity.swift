internal import PetalsCore
internal import PetalsTesting
internal import ShardFetch

// Rarity that is made up: attack 11.

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
}
