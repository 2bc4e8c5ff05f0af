import PetalsCore
import PetalsTesting
import Testing

@testable import ShardFetch

/// What is handed on of the answers to a lookup, whatever liars answer.
///
/// Answers are made up; the generator is seeded, so that a failure can be had again.
struct AnswerSamplerTests {
    /// A peer that is told apart by a number.
    private func peer(_ number: Int, port: UInt16 = 7700) -> NumericEndpoint {
        let bytes = [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: number >> $0) }
        guard let address = IPAddress([UInt8(20)] + bytes.dropFirst()) else {
            preconditionFailure("four bytes are an address")
        }
        return NumericEndpoint(address, port: port)
    }

    /// The largest answer that a datagram holds.
    private func flood(_ answer: Int) -> [NumericEndpoint] {
        (0..<180).map { peer(1000 * (answer + 1) + $0) }
    }

    @Test func neverMoreThanItsShares() {
        var generator = SeededGenerator(seed: 1)
        var sampler = AnswerSampler()
        let counts = (0..<60).map { sampler.sample(flood($0), using: &generator).count }
        #expect(counts.prefix(7) == [8, 8, 4, 4, 2, 2, 1])
        #expect(counts.reduce(0, +) == AnswerSampler.hintsMax)
        // 36 single ones after the first 28 hints: the 42nd answer is the last that is heard.
        #expect(counts.firstIndex(of: 0) == 42)
    }

    /// One honest node among liars, at each place in the order: its one peer is handed on.
    @Test(arguments: 0..<42) func oneTruthIsNotPushedOut(place: Int) {
        var generator = SeededGenerator(seed: 2)
        var sampler = AnswerSampler()
        let truth = peer(7)
        var handed: [NumericEndpoint] = []
        for answer in 0..<42 {
            let endpoints = answer == place ? [truth] : flood(answer)
            handed += sampler.sample(endpoints, using: &generator)
        }
        #expect(handed.contains(truth))
    }

    /// An honest node that was told 20 false peers by liars: lookup after lookup the right one has
    /// the same chance as any.
    @Test func aMixedAnswerGivesEachPeerItsTurn() {
        var generator = SeededGenerator(seed: 3)
        let mixed = (0..<20).map { peer($0) } + [peer(7777)]
        let lookups = (0..<2000).map { _ in
            var sampler = AnswerSampler()
            return sampler.sample(mixed, using: &generator)
        }
        for endpoint in mixed {
            let count = lookups.filter { $0.contains(endpoint) }.count
            // 8 of 21 are picked: 762 times on average, and a deviation of 22.
            #expect((650...874).contains(count), "seed 3")
        }
    }

    @Test func whatWasHandedOnCostsNothingMore() {
        var generator = SeededGenerator(seed: 4)
        var sampler = AnswerSampler()
        let known = [peer(1), peer(2), peer(1)]
        #expect(Set(sampler.sample(known, using: &generator)) == [peer(1), peer(2)])
        for _ in 0..<100 {
            let again = sampler.sample(known, using: &generator)
            #expect(again.isEmpty)
            let nothing = sampler.sample([], using: &generator)
            #expect(nothing.isEmpty)
        }
        // It is still the second answer that is heard next.
        #expect(sampler.sample(flood(0), using: &generator).count == 8)
        // The port tells peers of one address apart.
        #expect(sampler.sample([peer(1, port: 1)], using: &generator) == [peer(1, port: 1)])
    }

    @Test func answersThatNobodyAskedForAreNotHeard() throws {
        var generator = SeededGenerator(seed: 5)
        var lookups = RecentLookups()
        let topics = try (0..<RecentLookups.lookupsMax + 1).map { number in
            try #require(Topic((0..<20).map { UInt8(truncatingIfNeeded: number >> (8 * $0)) }))
        }
        var heard = lookups.sample(topics[0], [peer(1)], using: &generator)
        #expect(heard.isEmpty)
        for topic in topics { lookups.begin(topic) }
        #expect(lookups.count == RecentLookups.lookupsMax)
        heard = lookups.sample(topics[0], [peer(1)], using: &generator)
        #expect(heard.isEmpty)
        heard = lookups.sample(topics[1], [peer(1)], using: &generator)
        #expect(heard == [peer(1)])
        // A new lookup of the topic may give the same peer again, and counts once.
        lookups.begin(topics[1])
        heard = lookups.sample(topics[1], [peer(1)], using: &generator)
        #expect(heard == [peer(1)])
        #expect(lookups.count == RecentLookups.lookupsMax)
    }
}
