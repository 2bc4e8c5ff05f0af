internal import Glibc
internal import PetalsCore
internal import PetalsTesting
internal import ShardFetch

/// The DHT as far as a swarm can tell: who announced a topic, and what a lookup costs and finds.
///
/// A lookup asks the eight nodes nearest to a topic and those on the way to them, whose number
/// grows with the logarithm of the DHT's size (Maymounkov and Mazières 2002). With 1.4 more for
/// each doubling it comes to the 40 datagrams in each direction that were counted at the ten
/// million nodes of Mainline (`DHTSchedule`).
struct Rendezvous {
    /// From a question to its last answer.
    static let lookupSeconds: Instant = 2
    /// Nodes that keep a topic's peers, and peers of an answer that fits one datagram.
    private static let keepers = 8
    private static let answerMax = 100

    /// Datagrams that a lookup or an announcement sends.
    let datagrams: Int
    private var members: [Topic: [Int]] = [:]
    private var places: [Topic: [Int: Int]] = [:]

    init(nodes: Int) {
        datagrams = Self.keepers + Int((1.4 * log2(Double(max(nodes, 2)))).rounded(.up))
    }

    mutating func announce(_ node: Int, topic: Topic) {
        guard places[topic, default: [:]][node] == nil else { return }
        places[topic, default: [:]][node] = members[topic, default: []].count
        members[topic, default: []].append(node)
    }

    /// Has the first so many nodes under a topic.
    mutating func populate(_ topic: Topic, count: Int) {
        members[topic] = Array(0..<count)
        places[topic] = Dictionary(uniqueKeysWithValues: (0..<count).map { ($0, $0) })
    }

    mutating func withdraw(_ node: Int, topic: Topic) {
        guard let place = places[topic]?.removeValue(forKey: node),
            let last = members[topic]?.popLast(), last != node
        else { return }
        members[topic]?[place] = last
        places[topic]?[last] = place
    }

    func count(_ topic: Topic) -> Int { members[topic]?.count ?? 0 }

    /// Nodes under a topic, as `AnswerSampler` picks them from what the keepers answer.
    func find(_ topic: Topic, using generator: inout SeededGenerator) -> [Int] {
        guard let all = members[topic], !all.isEmpty else { return [] }
        var sampler = AnswerSampler()
        var found: [Int] = []
        for _ in 0..<Self.keepers {
            var answer: [NumericEndpoint] = []
            for index in Self.indices(all.count, using: &generator) {
                answer.append(AddressBook.packed(all[index]))
            }
            found += sampler.sample(answer, using: &generator).map(AddressBook.unpacked)
        }
        return found
    }

    /// A random part of what a keeper has, as much as it answers with.
    private static func indices(
        _ count: Int, using generator: inout SeededGenerator
    ) -> [Int] {
        if count <= answerMax { return Array(0..<count) }
        return (0..<answerMax).map { _ in Int.random(in: 0..<count, using: &generator) }
    }
}
