import PetalsCore
import PetalsTesting
import Testing

@testable import ShardFetch

/// When items of the DHT are stored and looked for, in virtual time.
@Suite struct ItemScheduleTests {
    private func item(_ key: UInt8, sequence: Int64 = 1) -> MutableItem {
        MutableItem(
            key: Array(repeating: key, count: 32), signature: Array(repeating: 0, count: 64),
            sequence: sequence, salt: [1], value: Array("1:x".utf8))
    }

    private func name(_ key: UInt8) -> ItemSchedule.Name {
        .init(key: Array(repeating: key, count: 32), salt: [1])
    }

    /// All that is done in so many seconds, with its time, a tenth of a second at a time.
    private func run(
        _ schedule: inout ItemSchedule, from start: Instant, seconds: Int, nodes: Int,
        found: Set<ItemSchedule.Name> = []
    ) -> [(at: Instant, action: ItemSchedule.Action)] {
        var generator = SeededGenerator(seed: 3)
        var actions: [(Instant, ItemSchedule.Action)] = []
        for tick in 0..<seconds * 10 {
            let now = start + Double(tick) / 10
            guard let action = schedule.next(now: now, nodes: nodes, using: &generator) else {
                #expect(schedule.pause(now: now) >= 0.5)
                continue
            }
            actions.append((now, action))
            if case .get(let name) = action, found.contains(name) {
                schedule.found(name, now: now)
            }
        }
        return actions
    }

    @Test func nothingIsDoneWhileNobodyIsKnown() {
        var schedule = ItemSchedule(now: 0)
        schedule.set(puts: [item(1)], gets: [name(2)], now: 0)
        #expect(run(&schedule, from: 0, seconds: 100, nodes: 0).isEmpty)
        #expect(run(&schedule, from: 100, seconds: 5, nodes: 1).count >= 2)
    }

    @Test func anItemIsStoredAgainBeforeItIsForgotten() {
        for nodes in [1, 100] {
            var schedule = ItemSchedule(now: 0)
            schedule.set(puts: [item(1)], gets: [], now: 0)
            let times = run(&schedule, from: 0, seconds: 20_000, nodes: nodes).map(\.at)
            let gaps = zip(times, times.dropFirst()).map { $1 - $0 }
            #expect(times.first == 0 && gaps.allSatisfy { $0 <= 45 * 60 })
            // Where few nodes are known it is stored again soon, and ever more rarely.
            #expect(nodes > 1 ? gaps.allSatisfy { $0 >= 31 * 60 } : gaps[0] <= 10)
            #expect(times.count <= 20)
        }
    }

    @Test func aNewVersionIsStoredAtOnceAndAnOldOneNotAtAll() {
        var schedule = ItemSchedule(now: 0)
        schedule.set(puts: [item(1)], gets: [], now: 0)
        _ = run(&schedule, from: 0, seconds: 10, nodes: 100)
        schedule.set(puts: [item(1)], gets: [], now: 10)
        #expect(run(&schedule, from: 10, seconds: 10, nodes: 100).isEmpty)
        schedule.set(puts: [item(1, sequence: 3), item(1, sequence: 2)], gets: [], now: 20)
        let actions = run(&schedule, from: 20, seconds: 10, nodes: 100)
        #expect(actions.map(\.action) == [.put(item(1, sequence: 3))])
    }

    @Test func whatIsLookedForIsAskedForEverMoreRarely() {
        var schedule = ItemSchedule(now: 0)
        schedule.set(puts: [], gets: [name(1)], now: 0)
        let times = run(&schedule, from: 0, seconds: 2000, nodes: 1).map(\.at)
        let gaps = zip(times, times.dropFirst()).map { ($1 - $0).rounded() }
        #expect(gaps.prefix(7) == [5, 10, 20, 40, 80, 160, 300])
        #expect(gaps.dropFirst(6).allSatisfy { $0 == 300 })
        schedule.set(puts: [], gets: [name(2)], now: 3000)
        let found = run(&schedule, from: 3000, seconds: 1000, nodes: 1, found: [name(2)])
        #expect(found.map { $0.at.rounded() } == [3000, 3300, 3600, 3900])
    }

    /// Many of both: at most one in two seconds after the first few, and none is starved.
    @Test func manyItemsArePaced() {
        var schedule = ItemSchedule(now: 0)
        schedule.set(
            puts: (0..<64).map { item($0) }, gets: Set((64..<128).map { name($0) }), now: 0)
        let actions = run(&schedule, from: 0, seconds: 600, nodes: 100)
        #expect(actions.count <= 305)
        #expect(Set(actions.map(\.action)).count == 128)
    }
}
