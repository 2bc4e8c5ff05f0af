internal import Glibc
internal import PetalsCore
internal import ShardFetch

// What becomes of honest nodes of all kinds: trials 18, 19, 20.

extension Attack {
    static let unequal = Attack(18, "uplinks from 1 to 100") { scale in
        let market = CreditMarket(seed: scale.seed)
        let count = scale.count(100, least: 30)
        // Faster nodes have more to gain and ask more; all ask enough to meet all kinds.
        market.servers = count / 4
        for place in 0..<count {
            let uplink = 50_000 * pow(100, Double(place) / Double(count - 1))
            market.add(1, .honest, uplink: Int(uplink))
        }
        market.run(until: 400, countingFrom: 40)
        let given = market.nodes.map { Double($0.uploaded) }
        let taken = market.nodes.map { Double($0.downloaded) }
        let ratios = zip(taken, given).map { $0 / max(1, $1) }
        return (
            [
                Measure(
                    "rank correlation of giving and getting",
                    Statistics.rankCorrelation(given, taken), atLeast: 0.8),
                Measure(
                    "evenness (Jain) of what is got for what is given",
                    Statistics.evenness(ratios), atLeast: 0.9),
            ], market.violations
        )
    }

    static let hoarders = Attack(19, "10 % hoard credit") { scale in
        func median(_ manner: MarketNode.Manner) -> (Double, [String], CreditMarket) {
            let market = CreditMarket(seed: scale.seed)
            let honest = market.add(scale.count(90, least: 27), .honest)
            market.add(scale.count(10, least: 3), manner)
            market.run(until: 200, countingFrom: 20)
            return (
                Statistics.median(honest.map { Double($0.downloaded) }), market.violations, market
            )
        }
        let usual = median(.honest)
        let squeezed = median(.hoarder)
        // What was hoarded is half after a month, at everybody.
        let hoarder = squeezed.2.nodes.last
        let later = squeezed.2.seconds + 30 * 86_400
        var before = Mills.zero
        var after = Mills.zero
        for node in squeezed.2.nodes where node.manner == .honest {
            guard let peer = hoarder?.peer else { continue }
            before +=
                node.ledger.account(of: peer, at: squeezed.2.seconds)?.balance ?? .zero
            after += node.ledger.account(of: peer, at: later)?.balance ?? .zero
        }
        let left = Double(after.rawValue) / Double(max(1, before.rawValue))
        return (
            [
                Measure(
                    "median honest rate, of that without hoarders",
                    100 * squeezed.0 / max(1, usual.0), atLeast: 95, "%"),
                Measure("hoard left after 30 days", 100 * left, atMost: 50.1, "%"),
            ], usual.1 + squeezed.1
        )
    }

    static let coldStart = Attack(20, "everybody begins with nothing") { scale in
        let market = CreditMarket(seed: scale.seed)
        let honest = market.add(scale.count(100, least: 30), .honest)
        var begun = 600.0
        var part = 0.0
        for end in stride(from: 10.0, through: 600, by: 10) {
            market.run(until: end, countingFrom: end)
            let known = honest.count { one in
                honest.count { $0.ledger.funds(of: one.peer, at: market.seconds) > .zero } >= 5
            }
            part = Double(known) / Double(honest.count)
            begun = end
            if part >= 0.9 { break }
        }
        return (
            [
                Measure("nodes with funds at 5 peers", 100 * part, atLeast: 90, "%"),
                Measure("until then", begun, atMost: 600, "s"),
            ], market.violations
        )
    }
}

/// What describes many numbers by one.
enum Statistics {
    static func median(_ values: [Double]) -> Double {
        values.isEmpty ? 0 : values.sorted()[values.count / 2]
    }

    /// The value that a part of all is not above.
    static func quantile(_ part: Double, _ values: [Double]) -> Double {
        guard !values.isEmpty else { return 0 }
        let place = Int((part * Double(values.count)).rounded(.up)) - 1
        return values.sorted()[min(max(place, 0), values.count - 1)]
    }

    /// Jain's index: 1 where all are the same, 1/n where one has all.
    static func evenness(_ values: [Double]) -> Double {
        let sum = values.reduce(0, +)
        let squares = values.reduce(0) { $0 + $1 * $1 }
        return squares > 0 ? sum * sum / squares / Double(values.count) : 0
    }

    /// Spearman's coefficient.
    static func rankCorrelation(_ one: [Double], _ other: [Double]) -> Double {
        let (a, b) = (ranks(one), ranks(other))
        let mean = Double(a.count - 1) / 2
        var (product, squaresA, squaresB) = (0.0, 0.0, 0.0)
        for (x, y) in zip(a, b) {
            product += (x - mean) * (y - mean)
            squaresA += (x - mean) * (x - mean)
            squaresB += (y - mean) * (y - mean)
        }
        return squaresA * squaresB > 0 ? product / (squaresA * squaresB).squareRoot() : 0
    }

    private static func ranks(_ values: [Double]) -> [Double] {
        var ranks = [Double](repeating: 0, count: values.count)
        let order = values.indices.sorted { (values[$0], $0) < (values[$1], $1) }
        for (rank, place) in order.enumerated() { ranks[place] = Double(rank) }
        return ranks
    }
}
