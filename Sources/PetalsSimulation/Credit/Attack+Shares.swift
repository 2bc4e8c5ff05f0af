internal import PetalsCore

// Who gets how much of a contended uplink: attacks 1, 2, 3, 6, 7.

extension Attack {
    /// What Sybils got of honest uplinks, and what an honest node got, in bytes a second.
    private static func share(
        _ scale: Scale, sybils count: Int, _ manner: MarketNode.Manner = .sybil,
        joinAt: Double = 0, seconds: Double = 300
    ) -> (share: Double, honestRate: Double, violations: [String]) {
        let market = CreditMarket(seed: scale.seed)
        let honest = market.add(scale.count(100, least: 30), .honest)
        let sybils = market.add(count, manner, joinsAt: joinAt)
        market.run(until: joinAt + seconds, countingFrom: joinAt + seconds / 10)
        let taken = Double(sybils.reduce(0) { $0 + $1.downloaded })
        let rate = CreditMarket.rate(honest, seconds: 0.9 * seconds)
        return (taken / Double(max(1, market.sentByHonest)), rate, market.violations)
    }

    static let sybils = Attack(1, "100 Sybils that upload nothing") { scale in
        let alone = share(scale, sybils: 0)
        let attacked = share(scale, sybils: scale.count(100, least: 30))
        return (
            [
                Measure("share of honest uplink", 100 * attacked.share, atMost: 6.5, "%"),
                Measure(
                    "honest rate lost", 100 * (1 - attacked.honestRate / alone.honestRate),
                    atMost: 6, "%"),
            ], alone.violations + attacked.violations
        )
    }

    /// They come to a swarm in which peers know each other.
    ///
    /// One that begins beside a thousand of
    /// them takes longer to learn who gives, and nothing can tell it sooner.
    static let numbers = Attack(2, "1, 10, 100 and 1000 Sybils") { scale in
        var shares: [Double] = []
        var violations: [String] = []
        for count in [1, 10, 100, 1000] {
            let found = share(
                scale, sybils: count < 100 ? count : scale.count(count), joinAt: 200, seconds: 50)
            shares.append(100 * found.share)
            violations += found.violations
        }
        return (
            [
                Measure(
                    "share of the most less that of a tenth of them", shares[3] - shares[2],
                    atMost: 1, "points"),
                Measure("share of 1", shares[0], atMost: 6.5, "%"),
                Measure("share of 10", shares[1], atMost: 6.5, "%"),
            ], violations
        )
    }

    static let oneNetwork = Attack(3, "100 Sybils of one /24 beside 10 newcomers") { scale in
        let market = CreditMarket(seed: scale.seed)
        market.add(scale.count(100, least: 30), .honest)
        // They do what Sybils do, and come from elsewhere.
        let newcomers = market.add(10, .sybil, joinsAt: 150)
        let sybils = market.add(
            scale.count(100, least: 50), .sybil, group: "10.99.1", joinsAt: 150)
        market.run(until: 240, countingFrom: 160)
        let least = Double(newcomers.map(\.downloaded).min() ?? 0)
        let mean = CreditMarket.rate(sybils, seconds: 1)
        return (
            [Measure("least newcomer, in Sybils", least / max(1, mean), atLeast: 5)],
            market.violations
        )
    }

    static let riders = Attack(6, "20 % free-riders") { scale in
        let market = CreditMarket(seed: scale.seed)
        let honest = market.add(scale.count(80, least: 24), .honest)
        let riders = market.add(scale.count(20, least: 6), .rider)
        market.run(until: 300, countingFrom: 30)
        let ratio =
            CreditMarket.rate(honest, seconds: 270)
            / max(1, CreditMarket.rate(riders, seconds: 270))
        // Half of all uplinks are wanted: nobody should notice who rides.
        let idle = CreditMarket(seed: scale.seed)
        idle.add(scale.count(80, least: 24), .honest, demandRate: 400_000)
        let content = idle.add(scale.count(20, least: 6), .rider, demandRate: 400_000)
        idle.run(until: 120, countingFrom: 12)
        let solo = CreditMarket(seed: scale.seed)
        solo.add(scale.count(80, least: 24), .honest, demandRate: 0)
        let alone = solo.add(1, .rider, demandRate: 400_000)
        solo.run(until: 120, countingFrom: 12)
        let part =
            CreditMarket.rate(content, seconds: 108) / CreditMarket.rate(alone, seconds: 108)
        return (
            [
                Measure("contributor to rider, contended", ratio, atLeast: 4),
                Measure("rider beside others to rider alone, idle", part, atLeast: 0.95),
            ], market.violations + idle.violations + solo.violations
        )
    }

    static let whitewashing = Attack(7, "a new name after each 256 KiB") { scale in
        let found = share(
            scale, sybils: scale.count(100, least: 30), .whitewasher(bytes: 256 << 10))
        return (
            [Measure("share of honest uplink", 100 * found.share, atMost: 6.5, "%")],
            found.violations
        )
    }
}
