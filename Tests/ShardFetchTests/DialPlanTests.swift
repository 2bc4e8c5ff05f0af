import PetalsCore
import PetalsTesting
import Testing

@testable import ShardFetch

/// Whom to dial, in virtual time: a simulated network answers or does not, a step is 50 ms, and
/// every run is held against the rules that the plan promises.
struct DialPlanTests {
    /// A plan, the network around it, and what it did.
    struct Simulation {
        var plan = DialPlan()
        var generator: SeededGenerator
        var now: Instant = 100
        /// Addresses where somebody is; a dial of any other fails after `failSeconds`.
        var alive: Set<SocketEndpoint> = []
        var own: Set<SocketEndpoint> = []
        var failSeconds: Instant = 5
        private(set) var dials: [(at: Instant, endpoint: SocketEndpoint, origin: PeerOrigin)] = []
        private(set) var closed: [PeerConnection.ID] = []
        private(set) var open: [PeerConnection.ID: (SocketEndpoint, since: Instant)] = [:]
        private var failing: [(at: Instant, SocketEndpoint)] = []
        private var nextID = 1

        init(seed: UInt64, interests: [Topic], wanted: [Topic]? = nil) {
            generator = SeededGenerator(seed: seed)
            plan.setTopics(interests: Set(interests), wanted: wanted ?? interests)
        }

        var connected: Set<SocketEndpoint> { Set(open.values.map(\.0)) }

        mutating func hint(
            _ endpoints: [SocketEndpoint], _ topic: Topic, from origin: PeerOrigin,
            teller: String? = nil
        ) {
            plan.hint(
                endpoints.map { PeerHint(topic: topic, endpoint: $0) }, from: origin,
                teller: teller.flatMap { IPAddress(parsing: $0) }, now: now, using: &generator)
        }

        mutating func hang(up id: PeerConnection.ID) {
            guard let (endpoint, since) = open.removeValue(forKey: id) else { return }
            plan.closed(id)
            plan.ended(endpoint, .ended(after: now - since), now: now, using: &generator)
        }

        mutating func run(seconds: Instant, each: (inout Simulation) -> Void = { _ in }) {
            let end = now + seconds
            while now < end {
                each(&self)
                for (_, endpoint) in failing.filter({ $0.at <= now }) {
                    let outcome: DialPlan.Outcome =
                        own.contains(endpoint) ? .ourselves : .failed
                    plan.ended(endpoint, outcome, now: now, using: &generator)
                }
                failing.removeAll { $0.at <= now }
                while let action = plan.next(now: now, using: &generator) {
                    switch action {
                    case .dial(let endpoint, let origin):
                        dials.append((now, endpoint, origin))
                        if alive.contains(endpoint) {
                            let id = PeerConnection.ID.peer(nextID)
                            nextID += 1
                            open[id] = (endpoint, now)
                            plan.opened(
                                id, target: endpoint, origin: origin, alias: nil, now: now)
                        } else {
                            failing.append((now + failSeconds, endpoint))
                        }
                    case .close(let id):
                        closed.append(id)
                        hang(up: id)
                    }
                }
                now += 0.05
            }
        }

        /// The most dials that began in any second, but for the first to each given address.
        var mostInASecond: Int {
            var known: Set<SocketEndpoint> = []
            let dials = dials.filter { dial in
                let isFirst = known.insert(dial.endpoint).inserted
                return !isFirst || dial.origin != .given
            }
            return dials.indices.map { first in
                dials[first...].prefix { $0.at < dials[first].at + 1 }.count
            }.max() ?? 0
        }
    }

    private func topic(_ number: UInt8) throws -> Topic {
        try #require(Topic([UInt8](repeating: number, count: 20)))
    }

    private func endpoint(_ text: String) throws -> SocketEndpoint {
        try SocketEndpoint(parsing: text)
    }

    /// Addresses all over the Internet where nobody is.
    private func strangers(_ count: Int, using generator: inout SeededGenerator) throws
        -> [SocketEndpoint]
    {
        try (0..<count).map { _ in
            let bytes = (0..<3).map { _ in Int.random(in: 1...254, using: &generator) }
            let port = Int.random(in: 1...65_535, using: &generator)
            return try endpoint("8.\(bytes[0]).\(bytes[1]).\(bytes[2]):\(port)")
        }
    }

    private static let home: [IPNetwork] = ["192.168.7.1", "127.0.0.1"].compactMap {
        IPAddress(parsing: $0).flatMap { IPNetwork($0, prefixBits: 24) }
    }

    // MARK: Poison

    /// A DHT that answers each lookup with a thousand false peers: whoever another source knows is
    /// reached in nine dials, the DHT's own right answer keeps a chance, three dials a second hold.
    @Test(arguments: 0..<10 as Range<UInt64>, [PeerOrigin.lan, .exchange, .given, .remembered])
    func aThousandFalsePeersDoNotHideTheRightOne(_ seed: UInt64, _ origin: PeerOrigin) throws {
        let topic = try topic(1)
        let right = try endpoint(origin == .lan ? "192.168.7.9:7411" : "9.9.9.9:7411")
        var simulation = Simulation(seed: seed, interests: [topic])
        simulation.plan.rules.networks = Self.home
        simulation.alive = [right]
        var lookups = 0
        let start = simulation.now
        var metAt: Instant?
        simulation.run(seconds: 60) { simulation in
            if simulation.now >= start + Double(lookups) * 10 {
                lookups += 1
                // A failure to make the addresses is a failure of the test's own arithmetic.
                let false1000 = (try? strangers(1000, using: &simulation.generator)) ?? []
                simulation.hint(false1000, topic, from: .dht)
            }
            if simulation.now >= start + 20, simulation.now < start + 20.05 {
                switch origin {
                case .given: _ = simulation.plan.give(right)
                case .remembered:
                    simulation.plan.remember(
                        [right], now: simulation.now, using: &simulation.generator)
                default: simulation.hint([right], topic, from: origin)
                }
            }
            if metAt == nil, simulation.connected.contains(right) { metAt = simulation.now }
        }
        let met = try #require(metAt, "seed \(seed)")
        #expect(met <= start + 20 + 3.2, "seed \(seed): met after \(met - start - 20) s")
        #expect(simulation.mostInASecond == Limits.dialsPerSecondMax, "seed \(seed)")
        #expect(simulation.dials.count > 100, "seed \(seed): the flood was dialled all the same")
    }

    /// However the lookups come, the memory for one topic and origin is that of 32 addresses, and
    /// each of a thousand had the same chance of a place.
    @Test func aSampleIsFairAndBounded() throws {
        var generator = SeededGenerator(seed: 5)
        let all = try (0..<1000).map { try endpoint("8.8.\($0 / 250).\($0 % 250 + 1):1") }
        var hits = [SocketEndpoint: Int]()
        for _ in 0..<400 {
            var sample = HintReservoir(now: 0)
            for endpoint in all { sample.add(endpoint, now: 0, using: &generator) }
            #expect(sample.endpoints.count == HintReservoir.countMax)
            for endpoint in sample.endpoints.keys { hits[endpoint, default: 0] += 1 }
        }
        // 400 x 32 / 1000 = 12.8 each; the first, middle and last hundred alike.
        for hundred in [0..<100, 450..<550, 900..<1000] {
            let mean = Double(all[hundred].reduce(0) { $0 + (hits[$1] ?? 0) }) / 100
            #expect((10.5...15).contains(mean), "\(hundred): \(mean)")
        }
    }

    @Test func aNewLookupCompetesWithItsOwnTimeOnly() throws {
        var generator = SeededGenerator(seed: 6)
        var sample = HintReservoir(now: 0)
        for number in 0..<100_000 {
            sample.add(try endpoint("8.8.8.8:\(number % 60_000 + 1)"), now: 0, using: &generator)
        }
        let late = try (1...64).map { try endpoint("9.9.9.9:\($0)") }
        for endpoint in late {
            sample.add(endpoint, now: HintReservoir.windowSeconds, using: &generator)
        }
        #expect(sample.endpoints.keys.count { late.contains($0) } >= 10)
        #expect(sample.endpoints.count == HintReservoir.countMax)
    }

    @Test func aThousandTopicsTakeNoMoreThanTheirPlaces() throws {
        let topics = try (0..<1000).map { number in
            try #require(Topic(Digest(words: (UInt64(number), 0, 0, 0)).bytes.prefix(20)))
        }
        var simulation = Simulation(seed: 1, interests: topics, wanted: [topics[0]])
        let first = try endpoint("9.9.9.9:1")
        simulation.hint([first], topics[0], from: .dht)
        for topic in topics.dropFirst() {
            let false40 = try strangers(40, using: &simulation.generator)
            simulation.hint(false40, topic, from: .dht)
            simulation.hint(false40, topic, from: .exchange)
        }
        #expect(simulation.plan.samples.count <= DialPlan.samplesMax)
        #expect(
            simulation.plan.samples[.init(origin: .dht, topic: topics[0])]?.endpoints[first] != nil)
        simulation.hint(
            [try endpoint("9.9.9.8:1")], try #require(Topic([UInt8](repeating: 9, count: 20))),
            from: .dht)
        #expect(simulation.plan.samples.count <= DialPlan.samplesMax)
    }

    // MARK: Turns and pauses

    /// Any mixture of origins, topics and failures: never more than three dials in any second,
    /// never two at once to one address, and no origin with somebody due waits for nine dials.
    @Test(arguments: 0..<20 as Range<UInt64>)
    func anyMixtureKeepsTheRules(_ seed: UInt64) throws {
        let topics = try (1...3).map { try topic($0) }
        var simulation = Simulation(seed: seed, interests: topics)
        simulation.plan.rules.networks = Self.home
        simulation.failSeconds = Double.random(in: 0...5, using: &simulation.generator)
        for number in 1...6 { _ = simulation.plan.give(try endpoint("given\(number).example:1")) }
        let near = try (1...40).map { try endpoint("192.168.7.\($0 + 1):7411") }
        simulation.run(seconds: 120) { simulation in
            guard simulation.generator.chance(0.05) else { return }
            let topic = topics.randomElement(using: &simulation.generator) ?? topics[0]
            let far = (try? strangers(200, using: &simulation.generator)) ?? []
            simulation.hint(far, topic, from: simulation.generator.chance(0.5) ? .dht : .exchange)
            let some = near.shuffled(using: &simulation.generator).prefix(5)
            simulation.hint(Array(some), topic, from: .lan)
            for endpoint in (far + near) where simulation.generator.chance(0.02) {
                simulation.alive.insert(endpoint)
            }
            let ids = simulation.open.keys.sorted()
            if let id = ids.randomElement(using: &simulation.generator) { simulation.hang(up: id) }
        }
        #expect(simulation.mostInASecond <= Limits.dialsPerSecondMax, "seed \(seed)")
        for origin in [PeerOrigin.given, .lan, .exchange, .dht] {
            #expect(simulation.dials.contains { $0.origin == origin }, "seed \(seed): \(origin)")
        }
        #expect(simulation.plan.dialsUnderWay <= Limits.dialsUnderWayMax)
        #expect(simulation.connected.count == simulation.open.count, "seed \(seed): one each")
        #expect(simulation.plan.records.count <= DialPlan.recordsMax)
    }

    /// Dead given addresses are dialled again and again, and leave others their turn.
    @Test func deadGivenAddressesDoNotStarveTheRest() throws {
        let topic = try topic(1)
        var simulation = Simulation(seed: 3, interests: [topic])
        for number in 0..<100 { _ = simulation.plan.give(try endpoint("10.0.0.\(number):1")) }
        let right = try endpoint("9.9.9.9:7411")
        simulation.alive = [right]
        simulation.run(seconds: 10)
        simulation.hint([right], topic, from: .dht)
        simulation.run(seconds: 4)
        #expect(simulation.connected == [right])
    }

    @Test func givenAddressesAreDialledAtOnce() throws {
        var simulation = Simulation(seed: 6, interests: [])
        for number in 1...20 { _ = simulation.plan.give(try endpoint("10.0.1.\(number):1")) }
        simulation.run(seconds: 0.5)
        #expect(Set(simulation.dials.map(\.endpoint)).count == 20)
    }

    @Test func aGivenAddressIsDialledAgainWithinFourSecondsForEver() throws {
        var simulation = Simulation(seed: 4, interests: [])
        simulation.failSeconds = 0
        let given = try endpoint("10.0.0.1:1")
        let isNew = [simulation.plan.give(given), simulation.plan.give(given)]
        #expect(isNew == [true, false])
        simulation.run(seconds: 100)
        let pauses = zip(simulation.dials, simulation.dials.dropFirst()).map { $1.at - $0.at }
        #expect(pauses.prefix(4).allSatisfy { $0 < 2.1 } && pauses.allSatisfy { $0 <= 4.1 })
        #expect(simulation.dials.count >= 25)
        simulation.alive = [given]
        simulation.run(seconds: 5)
        #expect(simulation.connected == [given])
    }

    /// An address that fails waits 5, 10, 20 seconds and so on, however often it is named.
    @Test func aFalseAddressThatIsNamedAgainAndAgainWaitsLongerEachTime() throws {
        let topic = try topic(1)
        var simulation = Simulation(seed: 5, interests: [topic])
        simulation.failSeconds = 0
        let wrong = try endpoint("9.9.9.9:7411")
        simulation.run(seconds: 3600) { $0.hint([wrong], topic, from: .dht) }
        // 5 + 10 + ... + 320 s are 635 s for seven dials; then one each ten minutes.
        #expect((9...14).contains(simulation.dials.count), "\(simulation.dials.count)")
    }

    @Test func whoAnnouncesItselfIsDialledAgainSoon() throws {
        let topic = try topic(1)
        var simulation = Simulation(seed: 5, interests: [topic])
        simulation.plan.rules.networks = Self.home
        simulation.failSeconds = 0
        let near = try endpoint("192.168.7.2:7411")
        simulation.run(seconds: 120) { $0.hint([near], topic, from: .lan) }
        #expect((8...14).contains(simulation.dials.count), "\(simulation.dials.count)")
        simulation.alive = [near]
        simulation.run(seconds: 16) { $0.hint([near], topic, from: .lan) }
        #expect(simulation.connected == [near])
    }

    @Test func thePortsOfOneFarHostAreDialledSlowly() throws {
        let topic = try topic(1)
        var simulation = Simulation(seed: 5, interests: [topic])
        simulation.hint(try (1...32).map { try endpoint("9.9.9.9:\($0)") }, topic, from: .exchange)
        simulation.run(seconds: 60)
        #expect(simulation.dials.count == 12)
    }

    @Test func onlyWhatIsWantedIsDialled() throws {
        let (one, two) = (try topic(1), try topic(2))
        var simulation = Simulation(seed: 5, interests: [one, two], wanted: [])
        simulation.plan.remember(
            [try endpoint("9.9.9.7:1")], now: simulation.now, using: &simulation.generator)
        simulation.hint([try endpoint("9.9.9.8:1")], one, from: .dht)
        simulation.hint([try endpoint("9.9.9.9:1")], two, from: .dht)
        simulation.run(seconds: 5)
        #expect(simulation.dials.isEmpty)
        simulation.plan.setTopics(interests: [one, two], wanted: [two])
        simulation.run(seconds: 5)
        #expect(simulation.dials.map(\.endpoint.host).sorted() == ["9.9.9.7", "9.9.9.9"])
        simulation.plan.setTopics(interests: [], wanted: [])
        #expect(simulation.plan.samples.keys.allSatisfy { $0.topic == nil })
    }

    @Test func whatIsNotNamedAgainIsForgotten() throws {
        let topic = try topic(1)
        var simulation = Simulation(seed: 5, interests: [topic], wanted: [])
        simulation.plan.rules.networks = Self.home
        simulation.hint([try endpoint("192.168.7.2:1")], topic, from: .lan)
        simulation.hint([try endpoint("9.9.9.9:1")], topic, from: .dht)
        #expect(simulation.plan.counts[.lan]?.known == 1)
        simulation.run(seconds: 80)
        #expect(simulation.plan.counts[.lan]?.known == 0)
        #expect(simulation.plan.counts[.dht]?.known == 1)
        simulation.run(seconds: 900)
        #expect(simulation.plan.counts[.dht]?.known == 0)
    }

    // MARK: Connections

    /// Peers who connect and never give anything fill the discovered places; each loses its place
    /// after a minute when others wait, and one that has given leaves does not.
    @Test func uselessPeersMakeRoom() throws {
        let topic = try topic(1)
        var simulation = Simulation(seed: 7, interests: [topic])
        let useless = try (0..<100).map { try endpoint("9.9.\($0).1:1") }
        simulation.alive = Set(useless)
        var useful: PeerConnection.ID?
        simulation.run(seconds: 120) { simulation in
            simulation.hint(useless, topic, from: .dht)
            if useful == nil, let first = simulation.open.keys.min() {
                useful = first
                simulation.plan.proved(first)
            }
            if simulation.open.count > Limits.discoveredPeersMax {
                Issue.record("\(simulation.open.count) places are taken")
            }
        }
        #expect(!simulation.closed.isEmpty)
        #expect(useful.map { simulation.open[$0] != nil } == true)
        let given = try endpoint("given.example:1")
        simulation.alive.insert(given)
        _ = simulation.plan.give(given)
        simulation.run(seconds: 4)
        #expect(simulation.connected.contains(given), "full places are no obstacle to a given one")
    }

    @Test func whoDialledUsIsNotDialled() throws {
        let topic = try topic(1)
        var simulation = Simulation(seed: 8, interests: [topic])
        let peer = try endpoint("9.9.9.9:7411")
        simulation.alive = [peer]
        simulation.plan.opened(
            .peer(900), target: nil, origin: nil, alias: peer, now: simulation.now)
        simulation.hint([peer], topic, from: .dht)
        simulation.run(seconds: 5)
        #expect(simulation.dials.isEmpty)
        simulation.plan.closed(.peer(900))
        simulation.run(seconds: 5)
        #expect(simulation.connected == [peer])
    }

    @Test func thisNodeIsDialledOnce() throws {
        let topic = try topic(1)
        var simulation = Simulation(seed: 9, interests: [topic])
        let ours = try endpoint("9.9.9.9:7411")
        simulation.own = [ours]
        _ = simulation.plan.give(ours)
        simulation.run(seconds: 1000) { $0.hint([ours], topic, from: .dht) }
        #expect(simulation.dials.count == 1)
    }
}
