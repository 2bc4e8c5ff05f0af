internal import DequeModule
internal import PetalsCore

/// Which endpoints of the answers to one lookup are handed on: at most 64, picked at random.
///
/// The DHT is open to everybody, so some of those who answer may lie, and an answer can hold some
/// 180 false peers. What one of them says must not push out what another says. So the share belongs
/// to answers, not to peers: each answer is one node's, and nodes of one lookup are in different
/// networks (`dht_restrict_search_ips`). The first two answers may give eight endpoints each, the
/// next two four, the next two two, and all after them one each: a lookup has a few dozen answers
/// at most, so the last one is still heard. Within an answer a random choice gives each peer the
/// same chance at each lookup, whatever order the answer has; over several lookups all that honest
/// nodes know is handed on. An endpoint counts once, however many answers name it.
///
/// Who holds all nodes near a topic decides what is found there, and no sample helps. Topics change
/// daily and can be computed by readers alone, and other sources remain.
package struct AnswerSampler {
    /// Endpoints handed on of one lookup.
    static let hintsMax = 64
    /// Endpoints that the first answer may give.
    static let firstAnswerHintsMax = 8

    private var answers = 0
    private var handed: Set<NumericEndpoint> = []

    /// Nothing was handed on yet.
    package init() {}

    /// Picks from one node's answer what is to be handed on.
    package mutating func sample(
        _ endpoints: [NumericEndpoint], using generator: inout some RandomNumberGenerator
    ) -> [NumericEndpoint] {
        let share = max(1, Self.firstAnswerHintsMax >> (answers / 2))
        var seen = handed
        var fresh = endpoints.filter { seen.insert($0).inserted }
        let count = min(share, fresh.count, Self.hintsMax - handed.count)
        guard count > 0 else { return [] }
        for position in 0..<count {
            fresh.swapAt(position, Int.random(in: position..<fresh.count, using: &generator))
        }
        let picked = fresh.prefix(count)
        handed.formUnion(picked)
        answers += 1
        return Array(picked)
    }
}

/// The samplers of the latest lookups; an answer to an older one is not listened to.
struct RecentLookups {
    /// Lookups remembered: two minutes of them at the schedule's pace, and none lasts one.
    static let lookupsMax = 256

    private var samplers: [Topic: AnswerSampler] = [:]
    private var order: Deque<Topic> = []

    /// Number of lookups remembered.
    var count: Int { samplers.count }

    /// A lookup of `topic` begins.
    mutating func begin(_ topic: Topic) {
        if samplers.updateValue(AnswerSampler(), forKey: topic) == nil {
            order.append(topic)
        }
        if order.count > Self.lookupsMax { samplers[order.removeFirst()] = nil }
    }

    /// Picks from one node's answer what is to be handed on; nothing where nobody asked.
    mutating func sample(
        _ topic: Topic, _ endpoints: [NumericEndpoint],
        using generator: inout some RandomNumberGenerator
    ) -> [NumericEndpoint] {
        samplers[topic]?.sample(endpoints, using: &generator) ?? []
    }
}
