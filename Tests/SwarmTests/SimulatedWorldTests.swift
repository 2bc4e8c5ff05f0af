import PetalsSimulation
import PetalsTesting
import ShardFetch
import Testing

/// The model of the world that simulations run in, against cases that were reckoned by hand.
struct SimulatedWorldTests {
    private enum Event: Equatable {
        case free(Int)
        case came(Lines.Parcel)
    }

    /// Sends parcels at the beginning and gives the moment at which each came.
    private func arrivals(
        _ parcels: [Lines.Parcel], lines given: Lines, cutting cut: (node: Int, at: Instant)? = nil
    ) -> [Int: Instant] {
        var lines = given
        var queue = EventQueue<Event>()
        var came: [Int: Instant] = [:]
        for parcel in parcels {
            if let free = lines.send(parcel, now: 0) {
                queue.schedule(.free(parcel.source), at: free)
            }
        }
        while let event = queue.next(until: 1000) {
            if let cut, queue.now >= cut.at, lines.cuts(cut.node) == 0 {
                lines.cut(cut.node, now: cut.at)
            }
            switch event {
            case .free(let node):
                guard let delivery = lines.freed(node, cuts: 0, now: queue.now) else { continue }
                queue.schedule(.came(delivery.parcel), at: delivery.arrivesAt)
                if let free = delivery.freeAt { queue.schedule(.free(node), at: free) }
            case .came(let parcel): came[parcel.id] = queue.now
            }
        }
        return came
    }

    private func parcel(_ id: Int, from source: Int, to target: Int) -> Lines.Parcel {
        Lines.Parcel(id: id, source: source, target: target, bytes: 100)
    }

    @Test("Receivers take turns at an uplink, whoever asked for more")
    func turns() {
        var lines = Lines { _, _ in 0.5 }
        for _ in 0..<3 { _ = lines.add(upload: 100, download: 1000) }
        // Four for node 1, then two for node 2: a second each, and half a second of way.
        let all =
            (0..<4).map { parcel($0, from: 0, to: 1) }
            + (4..<6).map { parcel($0, from: 0, to: 2) }
        let came = arrivals(all, lines: lines)
        #expect(came == [0: 1.5, 4: 3.5, 1: 2.5, 5: 5.5, 2: 4.5, 3: 6.5])
    }

    @Test("A downlink that several fill is shared, and slower than they are")
    func downlink() {
        var lines = Lines { _, _ in 0 }
        for _ in 0..<2 { _ = lines.add(upload: 100, download: 100) }
        _ = lines.add(upload: 100, download: 50)
        // Both senders are through after one and two seconds; the receiver needs two for each
        // parcel, one after the other.
        let all = [0, 1].flatMap { source in
            (0..<2).map { parcel(2 * source + $0, from: source, to: 2) }
        }
        let came = arrivals(all, lines: lines)
        #expect(came.values.sorted() == [2, 4, 6, 8])
    }

    @Test("What a node was sending when its line was cut does not come")
    func cut() {
        var lines = Lines { _, _ in 0 }
        for _ in 0..<2 { _ = lines.add(upload: 100, download: 1000) }
        let all = (0..<3).map { parcel($0, from: 0, to: 1) }
        let came = arrivals(all, lines: lines, cutting: (0, 2))
        #expect(Set(came.keys) == [0])
    }

    @Test("What is taken back is not sent, and its receiver has no turn any more")
    func cancelled() {
        var lines = Lines { _, _ in 0 }
        for _ in 0..<3 { _ = lines.add(upload: 100, download: 1000) }
        let first = parcel(0, from: 0, to: 1)
        #expect(lines.send(first, now: 0) == 1)
        #expect(lines.send(parcel(1, from: 0, to: 2), now: 0) == nil)
        #expect(lines.isContended(0, by: 1))
        lines.cancel(from: 0, to: 2) { $0.id == 1 }
        #expect(!lines.isContended(0, by: 1))
        let delivery = lines.freed(0, cuts: 0, now: 1)
        #expect(delivery?.parcel == first && delivery?.freeAt == nil)
        #expect(lines.uploadedBytes(0) == 100 && lines.downloadedBytes(1) == 100)
    }

    @Test("Events of one moment come in the order in which they were scheduled")
    func order() {
        var queue = EventQueue<Int>()
        for number in 0..<100 { queue.schedule(number, at: number < 50 ? 2 : 1) }
        queue.schedule(100, at: -5)
        var came: [Int] = []
        while let event = queue.next(until: 10) { came.append(event) }
        #expect(came == [100] + Array(50..<100) + Array(0..<50))
        #expect(queue.now == 10)
    }

    @Test("Sessions are there for the part of the time that they should", arguments: 1...3)
    func sessions(seed: UInt64) {
        let sessions = Population.Sessions(halfLife: 1800, availability: 0.8)
        var generator = SeededGenerator(seed: seed)
        var (there, away, long) = (0.0, 0.0, 0)
        for _ in 0..<20_000 {
            let seconds = generator.decay(mean: sessions.presentMean)
            there += seconds
            if seconds > 1800 { long += 1 }
            away += generator.decay(mean: sessions.absentMean)
        }
        #expect(abs(there / (there + away) - 0.8) < 0.01, "seed \(seed)")
        #expect(abs(Double(long) / 20_000 - 0.5) < 0.02, "seed \(seed)")
    }

    @Test("Kinds of lines come in their shares, in any order", arguments: [1, 7, 10, 99, 1000])
    func kinds(count: Int) {
        var generator = SeededGenerator(seed: 3)
        let kinds = Population.mixed.kinds(of: count, using: &generator)
        #expect(kinds.count == count)
        for (kind, line) in Population.mixed.lines.enumerated() {
            let found = kinds.count { $0 == kind }
            #expect(abs(Double(found) - line.share * Double(count)) <= 1)
        }
    }
}
