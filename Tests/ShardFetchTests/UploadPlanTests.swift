import PetalsCore
import PetalsTesting
import Testing

@testable import ShardFetch

/// Uploads in virtual time: peers that always want more, one virtual line, and what left it when.
@Suite struct UploadPlanTests {
    /// A line that is driven by the plan as the server drives it.
    private struct Line {
        var plan: UploadPlan
        var now: Instant = 100
        var yields = false
        /// What was sent: when, to whom, in which class, and how many bytes.
        var sent: [(at: Instant, to: Int, bulk: Bool, bytes: Int)] = []
        /// Seconds by which the timer is late, at most.
        var generator: SeededGenerator
        let late: Instant

        init(limit: Int?, seed: UInt64 = 1, late: Instant = 0) {
            plan = UploadPlan(limit: limit, now: 100)
            generator = SeededGenerator(seed: seed)
            self.late = late
        }

        /// Serves for a while; each of `peers` always wants what it says.
        mutating func run(seconds: Instant, _ peers: [(demand: Bool, bulk: Bool)]) {
            let end = now + seconds
            let waiting = peers.enumerated().map { number, wants in
                UploadPlan.Waiting(
                    connection: .init(rawValue: number), peer: Self.peer(number),
                    hasDemand: wants.demand, hasBulk: wants.bulk)
            }
            while now < end {
                switch plan.next(of: waiting, yields: yields, now: now) {
                case .serve(let id, let bulk, let leaves):
                    // A frame has a header and a proof besides its leaves.
                    let bytes = leaves * Limits.leafBytes + 40 + 32 * 4
                    plan.sent(bytes, to: Self.peer(id.rawValue), bulk: bulk, now: now)
                    sent.append((now, id.rawValue, bulk, bytes))
                case .wait(let seconds):
                    now += seconds + late * Double(generator.next() % 1000) / 1000
                case .rest:
                    return
                }
            }
        }

        static func peer(_ number: Int) -> PeerID {
            Digest(Array(repeating: UInt8(truncatingIfNeeded: number), count: 32)) ?? .zero
        }

        func bytes(where holds: ((at: Instant, to: Int, bulk: Bool, bytes: Int)) -> Bool) -> Int {
            sent.filter(holds).reduce(0) { $0 + $1.bytes }
        }
    }

    private static let rates = [
        UploadSchedule.leastBytesPerSecond, 30_000, 100_000, 1_000_000, 1 << 20, 20_000_000,
        100_000_000,
    ]

    /// Every minute of two, from any second on, has the limit's bytes within 5 %, though timers
    /// are up to 20 ms late and some bytes are charged that waited for no turn.
    @Test(arguments: rates) func theLimitHoldsWithinFivePercent(rate: Int) {
        var line = Line(limit: rate, late: 0.02)
        for _ in 0..<130 {
            line.run(seconds: 1, [(true, true), (false, true), (true, false)])
        }
        for start in stride(from: 100.0, to: 170, by: 7) {
            let bytes = line.bytes { $0.at >= start && $0.at < start + 60 }
            #expect(abs(Double(bytes) / Double(60 * rate) - 1) <= 0.05, "from \(start): \(bytes)")
        }
    }

    /// What waits for no turn is paid for by what does.
    @Test func documentsAreChargedToo() {
        var line = Line(limit: 1_000_000)
        for _ in 0..<60 {
            line.plan.charge(200_000, now: line.now)
            line.run(seconds: 1, [(true, false)])
        }
        let left = 1e6 * (line.now - 100) - 60 * 200_000
        let bytes = line.bytes { _ in true }
        #expect(abs(Double(bytes) / left - 1) <= 0.05, "\(bytes) of \(left)")
    }

    /// A line that rested has saved up a quarter of a second, not the hour.
    @Test(arguments: rates) func aRestIsNotSavedUp(rate: Int) {
        var line = Line(limit: rate)
        line.now += 3600
        let start = line.now
        line.run(seconds: 60, [(true, false)])
        let bytes = line.bytes { $0.at < start + 60 }
        #expect(Double(bytes) <= 1.05 * 60 * Double(rate))
    }

    /// All numbers of peers: each has the same, though one wants in both classes and comes first.
    @Test(arguments: 1...12) func peersShareAlike(count: Int) {
        var line = Line(limit: 1_000_000)
        let peers = (0..<count).map { (demand: true, bulk: $0 == 0) }
        line.run(seconds: 120, peers)
        let shares = (0..<count).map { peer in line.bytes { $0.to == peer } }
        // The eighth that bulk keeps is its only peer's; that is more than a share from nine on.
        let rest = shares.dropFirst(count > 8 ? 1 : 0)
        #expect((rest.max() ?? 0) - (rest.min() ?? 0) <= 300_000, "\(shares)")
        #expect(Double(shares[0]) <= 120e6 / Double(min(count, 8)) + 600_000, "\(shares)")
    }

    /// Who comes late has an equal share from then on, and nothing for the time before.
    @Test func aNewcomerDoesNotCatchUp() {
        var line = Line(limit: 1_000_000)
        line.run(seconds: 60, [(false, true), (false, true)])
        let start = line.now
        line.run(seconds: 60, [(false, true), (false, true), (false, true)])
        let shares = (0..<3).map { peer in line.bytes { $0.at >= start && $0.to == peer } }
        #expect((shares.max() ?? 0) - (shares.min() ?? 0) <= 300_000, "\(shares)")
    }

    @Test func demandGoesFirstAndBulkKeepsAnEighth() {
        var line = Line(limit: 1_000_000)
        line.run(seconds: 100, [(true, false), (false, true)])
        let bulk = Double(line.bytes { $0.bulk }) / Double(line.bytes { _ in true })
        #expect(bulk > 0.11 && bulk < 0.14, "\(bulk)")
        let first = line.sent.first
        #expect(first?.bulk == false)
    }

    /// While a read of this node waits, bulk has a quarter, and demand what it wants.
    @Test(arguments: [1_000_000, 20_000_000]) func bulkYields(rate: Int) {
        var line = Line(limit: rate)
        line.plan.measured(rate, in: 1, now: line.now)
        // Ten minutes of bulk that yielded to nobody are not held against it.
        line.run(seconds: 600, [(false, true)])
        line.yields = true
        let begun = line.now
        line.run(seconds: 60, [(false, true)])
        let share = Double(line.bytes { $0.at >= begun }) / Double(60 * rate)
        #expect(share > 0.23 && share < 0.27, "\(share)")
        let start = line.now
        line.run(seconds: 60, [(true, false)])
        let demand = Double(line.bytes { $0.at >= start }) / Double(60 * rate)
        #expect(demand > 0.95)
    }

    /// Without a limit the quarter is one of what the line carried; never less than some bytes.
    @Test func withoutALimitTheLineIsMeasured() {
        var plan = UploadPlan(limit: nil, now: 0)
        for second in 1...3600 { plan.measured(0, in: 1, now: Instant(second)) }
        #expect(plan.yieldRate == 262_144)
        plan.measured(80_000_000, in: 1, now: 3601)
        #expect(plan.yieldRate == 20e6)
        var line = Line(limit: nil)
        line.plan.measured(80_000_000, in: 1, now: line.now)
        line.yields = true
        line.run(seconds: 10, [(false, true)])
        let bytes = Double(line.bytes { _ in true })
        #expect(bytes > 190e6 && bytes < 210e6, "\(bytes)")
        let one = UploadPlan.Waiting(
            connection: .init(rawValue: 1), peer: .zero, hasDemand: false, hasBulk: true)
        let free = line.plan.next(of: [one], yields: false, now: line.now)
        #expect(free == .serve(.init(rawValue: 1), bulk: true, leavesMax: 16))
    }

    @Test func nothingIsServedAtZeroAndNobodyMeansRest() {
        var plan = UploadPlan(limit: 0, now: 0)
        let one = UploadPlan.Waiting(
            connection: .init(rawValue: 1), peer: .zero, hasDemand: true, hasBulk: true)
        for second in 0..<100 {
            let decision = plan.next(of: [one], yields: false, now: Instant(second))
            #expect(decision == .rest)
        }
        plan.setLimit(1_000_000, now: 100)
        let rest = plan.next(of: [], yields: false, now: 100)
        #expect(rest == .rest)
        guard case .wait = plan.next(of: [one], yields: false, now: 100) else {
            Issue.record("a limit that begins has saved nothing up")
            return
        }
    }
}

/// The clockwork of limits: tokens that are waited for, owed, and come at another rate.
@Suite struct TokenBucketTests {
    @Test func whatIsChargedIsWaitedFor() {
        var bucket = TokenBucket(rate: 100, burst: 50, now: 0)
        #expect(bucket.seconds(until: 50, now: 0) == 0)
        bucket.charge(150, now: 0)
        #expect(bucket.seconds(until: 50, now: 0) == 1.5)
        #expect(bucket.seconds(until: 50, now: 1) == 0.5)
        #expect(bucket.seconds(until: 50, now: 1.5) == 0)
        // More than fits never comes: a full bucket is all there is to wait for.
        #expect(bucket.seconds(until: 5000, now: 1) == 0.5)
        bucket.setRate(10, burst: 20, now: 1)
        #expect(bucket.seconds(until: 20, now: 1) == 2)
        #expect(bucket.seconds(until: 20, now: 0) == 2, "time does not go back")
    }
}
