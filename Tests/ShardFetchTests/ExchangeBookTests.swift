import PetalsCore
import PetalsTesting
import Testing

@testable import ShardFetch

/// What peers are told of each other, in virtual time.
struct ExchangeBookTests {
    private var generator = SeededGenerator(seed: 1)

    private func id(_ number: Int) -> PeerID { Digest(words: (UInt64(number), 7, 7, 7)) }

    private func topic(_ number: UInt8) throws -> Topic {
        try #require(Topic([UInt8](repeating: number, count: 20)))
    }

    private func meet(
        _ book: inout ExchangeBook, _ number: Int, blobs: Set<BlobID>, now: Instant
    ) throws {
        let address = try #require(IPAddress([9, 9, UInt8(number / 256), UInt8(number % 256)]))
        book.saw(
            id(number), at: SocketEndpoint(address, port: 7411), address: address, blobs: blobs,
            now: now)
    }

    /// Every blob shared or not, by two peers that share some: exactly those who share are named,
    /// with exactly the topics that the listener has joined.
    @Test mutating func onlyPeersOfTheSameTopicsAreNamed() throws {
        var book = ExchangeBook()
        let blobs = (1...3).map { FrameSample.digest(UInt64($0)) }
        for mask in 0..<8 {
            let some = Set((0..<3).filter { mask >> $0 & 1 == 1 }.map { blobs[$0] })
            try meet(&book, 10 + mask, blobs: some, now: 0)
        }
        book.opened(.peer(1), now: 0)
        let topics = [blobs[0]: try topic(1), blobs[2]: try topic(3)]
        let peers = try #require(
            book.message(
                to: id(10 + 7), on: .peer(1), topics: topics, now: 2, using: &generator
            ) { _ in true })
        let told = Dictionary(uniqueKeysWithValues: peers.map { (Int($0.address[3]), $0.topics) })
        #expect(Set(told.keys) == [11, 13, 14, 15, 16])
        for (number, named) in told {
            let mask = number - 10
            var expected: Set<Topic> = []
            if mask & 1 != 0 { expected.insert(try topic(1)) }
            if mask & 4 != 0 { expected.insert(try topic(3)) }
            #expect(Set(named) == expected)
        }
    }

    @Test mutating func atMostFiftyOnceAMinuteAndOnlyNews() throws {
        var book = ExchangeBook()
        let blob = FrameSample.digest(1)
        let topics = [blob: try topic(1)]
        for number in 0..<200 { try meet(&book, number, blobs: [blob], now: 0) }
        book.opened(.peer(1), now: 0)
        var times: [Instant] = []
        for tenth in 0..<3000 {
            let now = Double(tenth) / 10
            guard book.due(now: now) == [.peer(1)] else { continue }
            let peers = book.message(
                to: id(999), on: .peer(1), topics: topics, now: now, using: &generator
            ) { _ in true }
            guard let peers else { continue }
            #expect(peers.count == Limits.exchangedPeersMax)
            times.append(now)
        }
        #expect(times == [2, 62, 122, 182, 242])
        var few = ExchangeBook()
        try meet(&few, 1, blobs: [blob], now: 0)
        few.opened(.peer(1), now: 0)
        func told(_ now: Instant) -> Int? {
            few.message(
                to: id(999), on: .peer(1), topics: topics, now: now, using: &generator
            ) { _ in true }?.count
        }
        let counts = [told(1), told(2), told(62), told(70)]
        #expect(counts == [nil, 1, nil, nil])
        try meet(&few, 2, blobs: [blob], now: 71)
        let later = told(72)
        #expect(later == 2)
    }

    @Test mutating func whoIsGoneForAnHourIsForgottenAndAllAreBounded() throws {
        var book = ExchangeBook()
        let blob = FrameSample.digest(1)
        for number in 0..<1000 { try meet(&book, number, blobs: [blob], now: Double(number)) }
        book.opened(.peer(1), now: 0)
        let peers = book.message(
            to: id(0), on: .peer(1), topics: [blob: try topic(1)], now: 999 + 3599,
            using: &generator
        ) { _ in true }
        #expect(peers?.count == 1)
        let none = book.message(
            to: id(0), on: .peer(1), topics: [blob: try topic(1)], now: 99_999, using: &generator
        ) { _ in true }
        #expect(none == nil)
    }

    @Test mutating func whatMayNotBeHeardIsNotTold() throws {
        var book = ExchangeBook()
        let blob = FrameSample.digest(1)
        try meet(&book, 1, blobs: [blob], now: 0)
        book.opened(.peer(1), now: 0)
        let peers = book.message(
            to: id(2), on: .peer(1), topics: [blob: try topic(1)], now: 5, using: &generator
        ) { _ in false }
        #expect(peers == nil)
    }

    @Test func messagesThatComeTooSoonAreNotHeard() {
        var book = ExchangeBook()
        let unknown = book.admit(from: .peer(1), now: 0)
        book.opened(.peer(1), now: 0)
        let heard = [0.0, 1, 49.9, 50, 51, 100].map { book.admit(from: .peer(1), now: $0) }
        #expect(!unknown && heard == [true, false, false, true, false, true])
        book.closed(.peer(1))
        let gone = book.admit(from: .peer(1), now: 1000)
        #expect(!gone)
    }
}
