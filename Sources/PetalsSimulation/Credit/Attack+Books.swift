internal import PetalsCore
internal import PetalsTesting
internal import ShardFetch

// Books under fire: random traffic with forged receipts, crashes at every line, floods: attacks 10,
// 15, 21.

extension Attack {
    static let forgeries = Attack(10, "receipts forged, replayed, overtaken, told twice") { scale in
        var property = CreditProperty(seed: scale.seed)
        let operations = scale.count(1_000_000, least: 20_000)
        property.run(operations)
        return (
            [
                Measure("operations", Double(property.operations), atLeast: Double(operations)),
                Measure(
                    "what belongs to nobody in the end",
                    Double(property.imbalance.rawValue.magnitude), atMost: 0, "mills"),
                Measure("forgeries refused", Double(property.forgeries), atLeast: 100),
                Measure("two stories found", Double(property.storiesFound), atLeast: 1),
            ], property.violations
        )
    }

    static let crashes = Attack(21, "a crash at each line of the journal") { scale in
        var crash = CrashTrial(seed: scale.seed)
        crash.run(steps: scale.count(300, least: 60))
        return (
            [
                Measure("crashes", Double(crash.crashes), atLeast: 100),
                Measure(
                    "most that was lost, of what was at risk", crash.lostMost, atMost: 1),
                Measure(
                    "credit beyond what was signed", Double(crash.overMost.rawValue), atMost: 0,
                    "mills"),
            ], crash.violations
        )
    }

    static let flood = Attack(15, "10,000 connections from 100 addresses, and endless requests") {
        scale in
        var book = PeerBook()
        var ledger = CreditLedger(own: AddressBook.peerID(0), epoch: 1)
        let before = ProcessMemory.residentBytes
        var admitted: [Int] = []
        for number in 0..<scale.count(10_000, least: 2000) {
            let host = "203.\(number % 100).7.9"
            guard book.beginHandshake(host: host, now: 0) else { continue }
            // A third of them never end their handshake.
            guard number % 3 != 0 else { continue }
            book.endHandshake(host: host)
            let refusal = book.open(
                .init(virtual: number), peer: AddressBook.peerID(number + 1),
                network: "203.\(number % 100).7", now: 0)
            guard refusal == nil else { continue }
            admitted.append(number)
            ledger.met(
                AddressBook.peerID(number + 1), group: "203.\(number % 100).7", now: 0,
                at: CreditMarket.epoch)
        }
        let grown = Double(ProcessMemory.residentBytes - before) / 1_048_576
        let alone = served(flooders: 0)
        // The pool is what a flood can have; a turn more or less is how far it is cut in time.
        let turn = 6 * Limits.leafBytes
        let flooded = served(flooders: admitted.count) + turn
        return (
            [
                Measure("memory grown", grown, atMost: 64, "MiB"),
                Measure("connections admitted", Double(admitted.count), atMost: 200),
                Measure(
                    "rate of peers with funds, of that without a flood",
                    100 * Double(flooded) / Double(max(1, alone)), atLeast: 95, "%"),
            ], ledger.check().map { [$0] } ?? []
        )
    }

    /// Bytes that six peers with funds get of a line in ten minutes, beside strangers that always
    /// have more requests.
    private static func served(flooders: Int) -> Int {
        var plan = UploadPlan(limit: 1_000_000, now: 0)
        var now = 0.0
        var bytes = 0
        let funds = Mills(bytes: 1 << 30)
        let waiting = (0..<6 + flooders).map { place in
            UploadPlan.Waiting(
                connection: .init(virtual: place), peer: AddressBook.peerID(place),
                hasDemand: true, hasBulk: true,
                standing: place < 6
                    ? CreditStanding(tier: .funded, weight: funds, funds: funds, group: "a\(place)")
                    : .stranger(group: "203.\(place % 100).7"))
        }
        while now < 600 {
            switch plan.next(of: waiting, yields: false, now: now) {
            case .serve(let id, let bulk, let leaves):
                let length = leaves * Limits.leafBytes
                let one = waiting[id.virtualNumber]
                plan.sent(length, to: one.peer, as: one.standing, bulk: bulk, now: now)
                if id.virtualNumber < 6 { bytes += length }
            case .wait(let seconds): now += max(seconds, 0.001)
            case .rest: return bytes
            }
        }
        return bytes
    }
}
