import PetalsCore
import PetalsTesting
import Testing

@testable import ShardFetch

/// When the DHT is asked what, in virtual time.
///
/// A run does what the thread does: it takes what is due, pauses for as long as it is told to, and
/// writes down when what was done. Rules are then read off the record.
struct DHTScheduleTests {
    /// A schedule with a clock and a record.
    private struct Run {
        var schedule: DHTSchedule
        var now: Instant = 0
        var record: [(at: Instant, action: DHTSchedule.Action)] = []
        var generator: SeededGenerator
        var nodes: Int
        /// What a lookup finds: it is told at once.
        var isAnswering = false

        init(nodes: Int, seed: UInt64 = 1, topicsMax: Int = DHTSchedule.topicsMax) {
            schedule = DHTSchedule(now: 0, topicsMax: topicsMax)
            self.nodes = nodes
            generator = SeededGenerator(seed: seed)
        }

        mutating func pass(_ seconds: Instant) {
            let end = now + seconds
            while now < end {
                if let action = schedule.next(now: now, using: &generator) {
                    record.append((now, action))
                    switch action {
                    case .countNodes: schedule.counted(nodes: nodes)
                    case .announce(let topic), .find(let topic):
                        if isAnswering { schedule.answered(topic, now: now) }
                    case .bootstrap, .save: break
                    }
                } else {
                    let pause = schedule.pause(now: now)
                    #expect(pause > 0, "a thread that does not wait would burn a core")
                    now = min(end, now + max(pause, 0.001))
                }
            }
        }

        func times(_ action: DHTSchedule.Action) -> [Instant] {
            record.filter { $0.action == action }.map(\.at)
        }
    }

    private static func topic(_ number: Int) -> Topic {
        let bytes = (0..<20).map { $0 < 8 ? UInt8(truncatingIfNeeded: number >> (8 * $0)) : 0 }
        guard let topic = Topic(bytes) else { preconditionFailure("twenty bytes are a topic") }
        return topic
    }

    private func gaps(_ times: [Instant]) -> [Instant] {
        zip(times.dropFirst(), times).map { $0 - $1 }
    }

    // MARK: Announcements

    @Test(arguments: 0..<10 as Range<UInt64>)
    func announcementsAreRepeatedBeforeTheyAreForgotten(seed: UInt64) {
        var run = Run(nodes: 100, seed: seed)
        let hasRoom = run.schedule.announce(Self.topic(1), now: 0)
        #expect(hasRoom)
        run.pass(6 * 3600)
        let times = run.times(.announce(Self.topic(1)))
        #expect(times.first ?? .infinity < 1)
        let gaps = gaps(times)
        #expect(gaps.count > 12 && gaps.allSatisfy { (20 * 60...25 * 60 + 1).contains($0) })
        #expect(Set(gaps).count > 6, "seed \(seed): they come at random times")
        run.schedule.withdraw(Self.topic(1))
        run.pass(3600)
        #expect(run.times(.announce(Self.topic(1))).count == times.count)
    }

    @Test func amongFewNodesAnnouncementsAreRepeatedSooner() {
        var run = Run(nodes: 3)
        _ = run.schedule.announce(Self.topic(1), now: 0)
        run.pass(4 * 3600)
        let gaps = gaps(run.times(.announce(Self.topic(1))))
        for (gap, full) in zip(gaps, [10.0, 20, 40, 80, 160, 320, 640, 1280, 1500, 1500]) {
            #expect((0.8 * full...full + 1).contains(gap))
        }
    }

    @Test func whatIsSaidDifferentlyIsSaidAgain() {
        var run = Run(nodes: 100)
        for number in 0..<5 { _ = run.schedule.announce(Self.topic(number), now: 0) }
        run.pass(60)
        run.schedule.announceAgain(now: run.now)
        run.pass(60)
        for number in 0..<5 { #expect(run.times(.announce(Self.topic(number))).count == 2) }
    }

    // MARK: Lookups

    @Test func aLookupThatFoundSomethingIsRepeatedAfterAMinute() {
        var run = Run(nodes: 100)
        run.isAnswering = true
        for _ in 0..<600 {
            run.schedule.find(Self.topic(1), now: run.now)
            run.pass(1)
        }
        let gaps = gaps(run.times(.find(Self.topic(1))))
        #expect(gaps.count == 9 && gaps.allSatisfy { (60...62).contains($0) })
    }

    @Test func aLookupThatFoundNothingBacksOff() {
        var run = Run(nodes: 100)
        for _ in 0..<2400 {
            run.schedule.find(Self.topic(1), now: run.now)
            run.pass(0.25)
        }
        let gaps = gaps(run.times(.find(Self.topic(1))))
        for (gap, full) in zip(gaps, [1.0, 2, 4, 8, 16, 32, 60, 60, 60]) {
            #expect((full...full + 1).contains(gap))
        }
    }

    /// Who asks a hundred times in a moment is served once now and once later.
    @Test func lookupsAreMerged() {
        var run = Run(nodes: 100)
        for _ in 0..<100 { run.schedule.find(Self.topic(1), now: run.now) }
        run.pass(0.5)
        #expect(run.times(.find(Self.topic(1))).count == 1)
        for _ in 0..<100 { run.schedule.find(Self.topic(1), now: run.now) }
        run.pass(300)
        #expect(run.times(.find(Self.topic(1))).count == 2)
    }

    /// An announcement asks the same nodes the same question.
    @Test func anAnnouncementCountsAsALookup() {
        var run = Run(nodes: 0)
        _ = run.schedule.announce(Self.topic(1), now: 0)
        run.pass(10)
        #expect(run.record.allSatisfy { [.countNodes, .bootstrap].contains($0.action) })
        run.nodes = 100
        run.pass(0.5)
        #expect(run.times(.announce(Self.topic(1))).count == 1)
        run.schedule.find(Self.topic(1), now: run.now)
        run.pass(1)
        #expect(run.times(.find(Self.topic(1))).count == 1)
        run.schedule.announceAgain(now: run.now)
        run.pass(0.1)
        #expect(run.times(.announce(Self.topic(1))).count == 2)
        run.schedule.find(Self.topic(1), now: run.now)
        // The announcement was a second lookup that found nothing: two seconds from then on.
        run.pass(1.8)
        #expect(run.times(.find(Self.topic(1))).count == 1)
        run.pass(1)
        #expect(run.times(.find(Self.topic(1))).count == 2)
    }

    // MARK: Pace

    /// However much is wanted: two a second, and eight at once.
    @Test(arguments: 0..<5 as Range<UInt64>)
    func noStretchHoldsMoreThanThePace(seed: UInt64) {
        var run = Run(nodes: 100, seed: seed)
        for number in 0..<200 {
            _ = run.schedule.announce(Self.topic(number), now: 0)
            run.schedule.find(Self.topic(1000 + number), now: 0)
        }
        run.pass(300)
        let times = run.record.filter {
            switch $0.action {
            case .announce, .find: true
            case .countNodes, .bootstrap, .save: false
            }
        }.map(\.at)
        #expect(times.count >= 400)
        let isBroken = times.indices.contains { first in
            times.indices.dropFirst(first).contains { last in
                let seconds: Instant = times[last] - times[first]
                return Double(last - first) > 8.001 + 2 * seconds
            }
        }
        #expect(!isBroken, "seed \(seed)")
        // All were served, and neither kind starved the other.
        let half = run.record.filter { $0.at < 90 }
        for number in [0, 100, 199] {
            #expect(run.times(.announce(Self.topic(number))).count >= 1)
            #expect(run.times(.find(Self.topic(1000 + number))).count == 1)
        }
        #expect(
            half.contains { if case .announce = $0.action { true } else { false } },
            "late announcements take turns with lookups")
    }

    // MARK: Nodes

    @Test func whileNobodyIsKnownOnlyTheFirstNodesAreAsked() {
        var run = Run(nodes: 0)
        run.schedule.find(Self.topic(1), now: 0)
        run.pass(600)
        let gaps = gaps(run.times(.bootstrap))
        for (gap, full) in zip(gaps, [5.0, 10, 20, 40, 60, 60, 60, 60]) {
            #expect((full...full + 1).contains(gap))
        }
        #expect(run.times(.find(Self.topic(1))).isEmpty)
        let asked = run.now
        run.nodes = 1
        run.pass(1)
        #expect(run.times(.find(Self.topic(1))).count == 1, "what was wanted is done at once")
        run.nodes = 0
        run.pass(30)
        #expect(run.times(.bootstrap).contains { $0 > asked + 1 }, "a lost DHT is joined again")
    }

    @Test func theTableIsSavedNowAndThen() {
        var run = Run(nodes: 5)
        run.pass(3 * 3600)
        #expect((8...10).contains(run.times(.save).count))
        var lonely = Run(nodes: 0)
        lonely.pass(3 * 3600)
        #expect(lonely.times(.save).isEmpty)
    }

    // MARK: Bounds

    @Test func tablesHaveAnEnd() {
        var schedule = DHTSchedule(now: 0)
        for number in 0..<DHTSchedule.topicsMax {
            let hasRoom = schedule.announce(Self.topic(number), now: 0)
            #expect(hasRoom)
            schedule.find(Self.topic(number), now: 0)
        }
        let again = schedule.announce(Self.topic(5), now: 0)
        let more = schedule.announce(Self.topic(-1), now: 0)
        #expect(again && !more)
        schedule.find(Self.topic(-1), now: 0)
        #expect(schedule.lookupCount == DHTSchedule.topicsMax)
        #expect(schedule.announcedCount == DHTSchedule.topicsMax)
        schedule.withdraw(Self.topic(0))
        let freed = schedule.announce(Self.topic(-1), now: 0)
        #expect(freed)
    }

    /// What was looked up long ago makes room for what is wanted now.
    @Test func oldLookupsAreForgotten() {
        var run = Run(nodes: 100, topicsMax: 64)
        for number in 0..<64 { run.schedule.find(Self.topic(number), now: run.now) }
        run.pass(120)
        #expect(run.schedule.lookupCount == 64)
        run.schedule.find(Self.topic(-1), now: run.now)
        #expect(run.schedule.lookupCount == 1)
        run.pass(2)
        #expect(run.times(.find(Self.topic(-1))).count == 1)
    }

    @Test func aNewSessionKeepsWhatIsWanted() {
        var run = Run(nodes: 100)
        _ = run.schedule.announce(Self.topic(1), now: 0)
        run.schedule.find(Self.topic(2), now: 0)
        run.pass(10)
        run.schedule.find(Self.topic(2), now: run.now)
        run.schedule.find(Self.topic(3), now: run.now)
        run.schedule.restart(now: run.now)
        run.record = []
        run.nodes = 4
        run.pass(5)
        #expect(run.times(.announce(Self.topic(1))).count == 1)
        #expect(run.times(.find(Self.topic(2))).count == 1)
        #expect(run.times(.find(Self.topic(3))).count == 1)
    }
}
