internal import PetalsCore
internal import PetalsTesting
internal import ShardFetch

// Receipts that are withheld, made up or signed twice, and claims that are given away twice:
// attacks 4, 5, 8, 9.

extension Attack {
    static let clique = Attack(4, "a clique signs 1 TiB to itself") { scale in
        let market = CreditMarket(seed: scale.seed)
        let honest = market.add(scale.count(60, least: 20), .honest)
        let clique = market.add(scale.count(100, least: 20), .sybil)
        market.run(until: 30, countingFrom: 3)
        let now = market.now
        let seconds = market.seconds
        func funds() -> [Mills] {
            honest.flatMap { node in
                market.nodes.map { node.ledger.funds(of: $0.peer, at: seconds) }
            }
        }
        let before = funds()
        let all = Mills(bytes: 1 << 40)
        for (place, one) in clique.enumerated() {
            let other = clique[(place + 1) % clique.count]
            let receipt = Receipt(
                debtor: one.peer, creditor: other.peer, epoch: 1, sequence: 1, bytes: 1 << 40,
                mills: all, time: seconds)?.verified()
            for node in honest {
                if let receipt { _ = node.ledger.take(receipt, now: now, at: seconds) }
                // Claims on the honest node that it never owed, and on each other.
                for (creditor, beneficiary, debtor) in [
                    (one.peer, other.peer, node.peer), (one.peer, node.peer, other.peer),
                ] {
                    let assignment = Assignment(
                        creditor: creditor, beneficiary: beneficiary, debtor: debtor,
                        serial: place + 1, mills: all, expiry: seconds + 60
                    ).flatMap(Assignment.checked)
                    if let assignment { _ = node.ledger.take(assignment, at: seconds) }
                    let reply = AssignmentReply(
                        creditor: creditor, beneficiary: beneficiary, debtor: debtor,
                        serial: place + 1, accepted: all
                    ).flatMap(AssignmentReply.checked)
                    if let reply { _ = node.ledger.take(reply, asked: .zero, at: seconds) }
                }
            }
        }
        let changed = zip(before, funds()).reduce(0.0) {
            $0 + abs(Double($1.1.rawValue) - Double($1.0.rawValue))
        }
        return ([Measure("change of funds", changed, atMost: 0, "mills")], market.violations)
    }

    static let contributor = Attack(5, "a clique with one member that contributes") { scale in
        let market = CreditMarket(seed: scale.seed)
        market.add(scale.count(80, least: 30), .honest)
        let begin = 120.0
        let one = market.add(1, .contributor, uplink: 2_000_000, joinsAt: begin)[0]
        let clique = market.add(scale.count(99, least: 30), .sybil, joinsAt: begin)
        var serial = 0
        // Every other second it gives what it is owed to members in turn.
        for end in stride(from: begin, through: begin + 150, by: 2) {
            market.run(until: end, countingFrom: begin)
            for node in market.nodes where node.manner == .honest {
                let seconds = market.seconds
                let balance = node.ledger.account(of: one.peer, at: seconds)?.balance ?? .zero
                guard balance > .zero, serial % 3 == 0 else {
                    serial += 1
                    continue
                }
                serial += 1
                let assignment = Assignment(
                    creditor: one.peer, beneficiary: clique[serial % clique.count].peer,
                    debtor: node.peer, serial: serial, mills: balance, expiry: seconds + 60
                ).flatMap(Assignment.checked)
                if let assignment { _ = node.ledger.take(assignment, at: seconds) }
            }
        }
        let taken = Double((clique + [one]).reduce(0) { $0 + $1.downloaded })
        let pool = UploadTurns.poolShare * Double(market.sentByHonest)
        let given = Double(one.uploaded)
        return (
            [
                Measure(
                    "taken beyond the pool, of what was given", (taken - pool) / given,
                    atMost: 2.1),
                Measure("given", given / 1e6, atLeast: 1, "MB"),
            ], market.violations
        )
    }

    static let withheld = Attack(8, "receipts withheld by strangers and by proven peers") { scale in
        let market = CreditMarket(seed: scale.seed)
        let honest = market.add(scale.count(100, least: 30), .honest)
        let strangers = market.add(scale.count(100, least: 30), .withholder)
        let turncoats = market.add(10, .turncoat(at: 120), uplink: 4_000_000)
        market.run(until: 200, countingFrom: 20)
        var stranger = Mills.zero
        var proven = Mills.zero
        for node in honest {
            for one in strangers {
                stranger = max(stranger, node.ledger.accounts[one.peer]?.given ?? .zero)
            }
            for one in turncoats {
                let account = node.ledger.accounts[one.peer]
                let unpaid = (account?.given ?? .zero) - (account?.signed ?? .zero)
                proven = max(proven, unpaid)
            }
        }
        let total = Double(strangers.reduce(0) { $0 + $1.downloaded })
        return (
            [
                Measure(
                    "most of a stranger at a server", Double(stranger.bytesAtBasePrice) / 1024,
                    atMost: 256, "KiB"),
                Measure(
                    "most of a proven peer at a server",
                    Double(proven.bytesAtBasePrice) / 1_048_576, atMost: 16, "MiB"),
                Measure(
                    "all strangers, of honest uplink",
                    100 * total / Double(max(1, market.sentByHonest)), atMost: 5, "%"),
            ], market.violations
        )
    }

    static let twice = Attack(9, "the same claim given away ten times") { scale in
        var generator = scale.generator
        var violations: [String] = []
        var over = 0.0
        var least = 0.0
        var replayed = 0
        for round in 0..<scale.count(1000, least: 100) {
            let peers = (0..<22).map { AddressBook.peerID($0 + 100 * round) }
            let seconds = CreditMarket.epoch
            var owed = Mills.zero
            var accepted = Mills.zero
            var books = (0..<10).map { CreditLedger(own: peers[$0 + 1], epoch: 1) }
            for place in books.indices {
                let bytes = Int(generator.next() % 100_000_000)
                books[place].received(
                    bytes: bytes, price: 1000, from: peers[0], epoch: 1, now: 0, at: seconds)
                owed += books[place].accounts[peers[0]]?.balance ?? .zero
                // To ten at ten servers, then ten times at one, then all of it once more.
                for attempt in 0..<(place == 0 ? 20 : 2) {
                    let wanted = Mills(Int64(generator.next() % 100_000_000))
                    let serial = attempt < 10 ? attempt : attempt - 10
                    let assignment = Assignment(
                        creditor: peers[0], beneficiary: peers[11 + (place + attempt) % 10],
                        debtor: peers[place + 1], serial: serial, mills: wanted + Mills(1),
                        expiry: seconds + 60
                    ).flatMap(Assignment.checked)
                    guard let assignment else { continue }
                    let reply = books[place].take(assignment, at: seconds)
                    accepted += reply?.accepted ?? .zero
                    let again = books[place].take(assignment, at: seconds)
                    if again?.accepted ?? .zero > .zero { replayed += 1 }
                    let left = books[place].accounts[peers[0]]?.balance ?? .zero
                    least = min(least, Double(left.rawValue))
                }
                if let fault = books[place].check() { violations.append(fault) }
            }
            over = max(over, Double((accepted - owed).rawValue))
        }
        return (
            [
                Measure("accepted beyond what was owed", over, atMost: 0, "mills"),
                Measure("lowest balance", least, atLeast: 0, "mills"),
                Measure("serials accepted twice", Double(replayed), atMost: 0),
            ], violations
        )
    }
}
