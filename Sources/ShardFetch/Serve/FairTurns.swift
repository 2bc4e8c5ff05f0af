/// Turns of some who share one thing, in proportion to their weights.
///
/// Who was given least for its weight is next, which is deficit round robin without its rounds
/// (start-time fair queueing, Goyal, Vin and Cheng 1996). Who was away does not save up: it comes
/// back as if it had been given as much as whoever was given least of those who wait.
struct FairTurns<Key: Hashable & Sendable>: Sendable {
    /// What each was given for its weight, by the clock below; who is behind it is left out.
    private var given: [Key: Double] = [:]
    /// What whoever was given least of those who waited last was given.
    private var clock = 0.0

    /// What counts: the smallest is next.
    func start(of key: Key) -> Double { max(given[key] ?? 0, clock) }

    /// Says where whoever was given least of those who wait stands; infinity where nobody waits.
    mutating func look(atLeast start: Double) {
        if start < .infinity { clock = max(clock, start) }
    }

    /// Something was given.
    mutating func gave(_ bytes: Int, to key: Key, weight: Double) {
        given[key] = start(of: key) + Double(bytes) / max(weight, .leastNormalMagnitude)
    }

    /// Forgets those who are not ahead of the clock: they are as good as unknown.
    mutating func trim(above count: Int) {
        if given.count > count { given = given.filter { $0.value > clock } }
    }

    /// Whether nobody is ahead.
    var isEven: Bool { !given.values.contains { $0 > clock } }
}
