import PetalsCore
import PetalsTesting
import Testing

@testable import ShardFetch

/// The small machines that say whom to talk to and how often.
///
/// Time is an argument, so hours pass in microseconds; each is compared with rules written down
/// another way.
struct PeerPolicyTests {
    // MARK: Token bucket

    @Test func aBucketGivesItsBurstAndThenItsRate() {
        var bucket = TokenBucket(rate: 50, burst: 100, now: 10)
        let counts = [10.0, 11, 1000].map { now in
            (0..<200).filter { _ in bucket.take(now: now) }.count
        }
        #expect(counts == [100, 50, 100])
    }

    @Test func aClockThatGoesBackGivesNothing() {
        var bucket = TokenBucket(rate: 1, burst: 1, now: 10)
        let taken = [10.0, 5].map { bucket.take(now: $0) }
        #expect(taken == [true, false])
    }

    /// In any stretch of time no more than burst + rate x length pass.
    @Test(arguments: 0..<20 as Range<UInt64>)
    func noStretchHoldsMoreThanAllowed(_ seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        var bucket = TokenBucket(rate: 20, burst: 30, now: 0)
        var now = 0.0
        var passed: [Double] = []
        for _ in 0..<400 {
            now += Double.random(in: 0..<0.06, using: &generator)
            if bucket.take(now: now) { passed.append(now) }
        }
        for (first, start) in passed.enumerated() {
            for (last, end) in passed.enumerated().dropFirst(first) {
                let allowed = 30 + 20 * (end - start)
                #expect(Double(last - first) <= allowed, "seed \(seed)")
            }
        }
    }

    // MARK: Peer book

    private func digest(_ number: Int) -> PeerID { Digest(words: (UInt64(number), 0, 0, 0)) }

    @Test func atMostFourHandshakesOfAnAddressAreUnderWay() {
        var book = PeerBook()
        func begun(_ host: String) -> Int {
            (0..<10).filter { _ in book.beginHandshake(host: host, now: 0) }.count
        }
        let first = [begun("a"), begun("b")]
        book.endHandshake(host: "a")
        let second = begun("a")
        for _ in 0..<20 { book.endHandshake(host: "a") }
        let third = begun("a")
        #expect(first == [4, 4] && second == 1 && third == 4)
    }

    @Test func atMostEightPeersOfANetworkAndTwoHundredInAll() {
        var book = PeerBook()
        func open(_ number: Int, _ network: String?) -> Bool {
            book.open(.peer(number), peer: digest(number), network: network, now: 0) == nil
        }
        let first = (0..<20).filter { open($0, "4:1") }
        #expect(first == Array(0..<8))
        let other = open(100, "4:2")
        #expect(other)
        book.close(.peer(3))
        book.close(.peer(3))
        let second = (200..<210).filter { open($0, "4:1") }
        #expect(second == [200])
        let loopback = (1000..<1400).filter { open($0, nil) }
        #expect(loopback.count == 200 - 9)
        #expect(book.connectionCount == 200)
        let beyond = open(5000, nil)
        #expect(!beyond)
        book.close(.peer(1000))
        let again = open(5001, nil)
        #expect(again)
    }

    @Test func aLiarIsLeftOutForTenMinutesAndThenTwiceAsLong() {
        var book = PeerBook()
        var now = 0.0
        var seconds: [Double] = []
        for _ in 0..<14 {
            seconds.append(book.blame(digest(1), host: "h", now: now))
            #expect(book.isBanned(digest(1), now: now))
            let reason = book.open(.peer(1), peer: digest(1), network: nil, now: now)
            #expect(reason != nil)
            now += seconds.last ?? 0
            #expect(!book.isBanned(digest(1), now: now))
        }
        let expected = (0..<14).map { 600 * Double(1 << min($0, 10)) }
        #expect(seconds == expected)
        #expect(!book.isBanned(digest(2), now: 0))
        let reason = book.open(.peer(1), peer: digest(1), network: nil, now: now)
        #expect(reason == nil)
    }

    @Test func theAddressOfAPeerThatLiedTwiceIsLeftOutForAnHour() {
        var book = PeerBook()
        _ = book.blame(digest(1), host: "h", now: 0)
        let once = book.beginHandshake(host: "h", now: 0)
        _ = book.blame(digest(1), host: "h", now: 700)
        let twice = [("h", 3599.0), ("h", 3600), ("g", 0)].map { host, later in
            book.beginHandshake(host: host, now: 700 + later)
        }
        #expect(once && twice == [false, true, true])
    }

    /// Old bans make room; the book does not grow with the number of liars that ever were.
    @Test func banMemoryIsBounded() {
        var book = PeerBook()
        for number in 0..<PeerBook.bansMax {
            _ = book.blame(digest(number), host: "h\(number)", now: 0)
        }
        _ = book.blame(digest(-1 & 0xffff_ffff), host: "x", now: 10_000)
        #expect(!book.isBanned(digest(0), now: 0))
    }

    /// The book against a list of connections that is counted from scratch each time.
    @Test(arguments: 0..<10 as Range<UInt64>)
    func theBookAgreesWithAList(_ seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        var book = PeerBook()
        var list: [Int: String?] = [:]
        for number in 0..<600 {
            if generator.chance(0.3), let gone = list.keys.sorted().randomElement(using: &generator)
            {
                book.close(.peer(gone))
                list[gone] = nil
            }
            let network =
                generator.chance(0.5) ? "n\(Int.random(in: 0..<4, using: &generator))" : nil
            let isFull =
                list.count >= 200
                || network.map { wanted in list.values.filter { $0 == wanted }.count >= 8 } ?? false
            let refusal = book.open(.peer(number), peer: digest(number), network: network, now: 0)
            #expect((refusal != nil) == isFull, "seed \(seed)")
            if refusal == nil { list[number] = .some(network) }
            #expect(book.connectionCount == list.count, "seed \(seed)")
        }
    }

    // MARK: Addresses

    @Test(arguments: [
        ("127.0.0.1:7700", "127.0.0.1", 7700), ("example.org:1", "example.org", 1),
        ("[::1]:7700", "::1", 7700), ("[fe80::1%eth0]:65535", "fe80::1%eth0", 65535),
        ("a:0", "a", 0),
    ])
    func addressesAreReadAndWrittenBack(_ text: String, _ host: String, _ port: Int) throws {
        let endpoint = try SocketEndpoint(parsing: text)
        #expect(endpoint.host == host && endpoint.port == port)
        #expect(endpoint.description == text)
        #expect(try SocketEndpoint(parsing: endpoint.description) == endpoint)
    }

    @Test(arguments: [
        "", ":", "a", "a:", ":1", "a:-1", "a:65536", "a:99999999999999999999", "a:1x", "a: 1",
        "[]:1", "7700", "a:b:c",
    ])
    func whatIsNoAddressIsRefusedWithAnExample(_ text: String) {
        #expect {
            try SocketEndpoint(parsing: text)
        } throws: { error in
            let error = error as? PetalsError
            return error?.code == .badInput && error?.message.contains("HOST:PORT") == true
        }
    }
}
