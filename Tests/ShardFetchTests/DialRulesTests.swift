import PetalsCore
import PetalsTesting
import Testing

@testable import ShardFetch

/// Which addresses may be dialled on whose word: the whole table, spelled out.
struct DialRulesTests {
    private func address(_ text: String) throws -> IPAddress {
        try #require(IPAddress(parsing: text))
    }

    private func network(_ text: String, _ bits: Int) throws -> IPNetwork {
        try #require(IPNetwork(try address(text), prefixBits: bits))
    }

    // MARK: Addresses

    @Test(arguments: [
        ("8.8.8.8", IPAddress.Scope.global), ("1.0.0.1", .global), ("223.255.255.255", .global),
        ("0.0.0.0", .unusable), ("0.1.2.3", .unusable), ("127.0.0.1", .loopback),
        ("127.255.0.9", .loopback), ("10.0.0.1", .local), ("172.15.0.1", .global),
        ("172.16.0.1", .local), ("172.31.255.1", .local), ("172.32.0.1", .global),
        ("192.168.0.1", .local), ("192.169.0.1", .global), ("100.63.0.1", .global),
        ("100.64.0.1", .local), ("100.127.0.1", .local), ("100.128.0.1", .global),
        ("169.254.3.4", .local), ("192.0.0.8", .unusable), ("192.0.2.1", .local),
        ("198.18.0.1", .local), ("198.51.100.1", .local), ("203.0.113.7", .local),
        ("224.0.0.1", .unusable), ("239.1.2.3", .unusable), ("240.0.0.1", .unusable),
        ("255.255.255.255", .unusable), ("::", .unusable), ("::1", .loopback), ("::2", .unusable),
        ("::ffff:127.0.0.1", .loopback), ("::ffff:8.8.8.8", .global),
        ("::ffff:192.168.1.1", .local), ("::127.0.0.1", .unusable), ("2606:4700::1", .global),
        ("2001:db8::1", .local), ("2001::1", .unusable), ("fc00::1", .local), ("fd12::1", .local),
        ("fe80::1", .unusable), ("fec0::1", .unusable), ("ff02::1", .unusable),
        ("64:ff9b::7f00:1", .unusable), ("64:ff9b::808:808", .global),
        ("64:ff9b:1::1", .unusable), ("2002:7f00:1::1", .unusable), ("2002:c0a8:101::1", .unusable),
        ("2002:808:808::1", .global), ("100::1", .unusable), ("4000::1", .unusable),
    ])
    func everyAddressHasItsScope(_ text: String, _ scope: IPAddress.Scope) throws {
        #expect(try address(text).scope == scope)
    }

    @Test(arguments: ["", "localhost", "1.2.3", "1.2.3.4.5", "256.1.1.1", "fe80::1%lo", "[::1]"])
    func whatIsNoNumberIsNoAddress(_ text: String) {
        #expect(IPAddress(parsing: text) == nil)
    }

    @Test func oneAddressHasOneSpelling() throws {
        #expect(try address("::ffff:1.2.3.4") == address("1.2.3.4"))
        #expect(try address("2606:4700:0:0::0:1").description == "2606:4700::1")
        #expect(try address("::FFFF:1.2.3.4").description == "1.2.3.4")
        for count in 0...20 where count != 4 && count != 16 {
            #expect(IPAddress([UInt8](repeating: 1, count: count)) == nil)
        }
    }

    /// Every prefix length against a comparison bit by bit.
    @Test func aNetworkIsItsFirstBits() throws {
        var generator = SeededGenerator(seed: 2)
        for length in [4, 16] {
            for bits in 0...(8 * length) {
                let one = try #require(IPAddress(generator.bytes(length)))
                var other = one.bytes
                let flipped = Int.random(in: 0..<8 * length, using: &generator)
                other[flipped / 8] ^= 0x80 >> UInt8(flipped % 8)
                let network = try #require(IPNetwork(one, prefixBits: bits))
                #expect(network.contains(one))
                let changed = try #require(IPAddress(other))
                #expect(network.contains(changed) == (flipped >= bits), "\(bits) \(flipped)")
            }
            let any = try #require(IPAddress(generator.bytes(length)))
            #expect(IPNetwork(any, prefixBits: 8 * length + 1) == nil)
            #expect(IPNetwork(any, prefixBits: -1) == nil)
        }
        let netmask = try IPNetwork(address("192.168.7.9"), netmask: address("255.255.255.0"))
        #expect(try netmask == network("192.168.7.9", 24))
        #expect(try IPNetwork(address("192.168.7.9"), netmask: address("ffff::")) == nil)
        #expect(try !network("0.0.0.0", 0).contains(address("::1")))
    }

    // MARK: Rules

    /// All scopes and origins, for a node that listens on all its addresses.
    @Test func farPeersNameNothingThatIsOnlyNear() throws {
        var rules = DialRules()
        rules.networks = [
            try network("192.168.7.1", 24), try network("127.0.0.1", 8),
            try network("fd12::1", 64),
        ]
        let near = ["192.168.7.9", "127.0.0.1", "127.9.9.9", "fd12::9"]
        let elsewhere = ["192.168.8.9", "10.0.0.1", "fd13::9", "169.254.1.1", "192.0.2.7"]
        let far = ["8.8.8.8", "2606:4700::1"]
        let never = ["0.0.0.0", "224.0.0.1", "255.255.255.255", "ff02::1", "fe80::1"]
        func allowed(_ all: [String], _ origin: PeerOrigin, teller: String? = nil) throws
            -> [String]
        {
            let teller = try teller.map { try address($0) }
            return try all.filter { rules.allow(try address($0), from: origin, teller: teller) }
        }
        let all = near + elsewhere + far + never
        #expect(try allowed(all, .given) == all)
        #expect(try allowed(all, .dht) == far)
        #expect(try allowed(all, .lan) == near)
        #expect(try allowed(all, .remembered) == near + far)
        #expect(try allowed(all, .exchange) == far)
        #expect(try allowed(all, .exchange, teller: "8.8.4.4") == far)
        #expect(try allowed(all, .exchange, teller: "192.168.7.5") == ["192.168.7.9"] + far)
        #expect(try allowed(all, .exchange, teller: "192.168.8.5") == far)
        #expect(
            try allowed(all, .exchange, teller: "127.0.0.2") == ["127.0.0.1", "127.9.9.9"] + far)
    }

    /// A node that was told to listen in one network takes addresses of that network from the DHT:
    /// a private DHT has no others.
    @Test func theDHTNamesAddressesOfTheNetworkThatThisNodeListensIn() throws {
        var rules = DialRules()
        rules.networks = [try network("192.168.7.1", 24), try network("127.0.0.1", 8)]
        for (listening, text, isAllowed) in [
            (nil, "127.0.0.3", false), ("127.0.0.2", "127.0.0.3", true),
            ("192.168.7.1", "127.0.0.3", false), ("192.168.7.1", "192.168.7.9", true),
            ("192.168.7.1", "10.0.0.1", false), ("9.9.9.9", "127.0.0.1", false),
        ] as [(String?, String, Bool)] {
            rules.listening = try listening.map { try address($0) }
            #expect(
                rules.allow(try address(text), from: .dht, teller: nil) == isAllowed,
                "\(listening ?? "everywhere") \(text)")
        }
    }

    @Test func ownAddressesAreKnown() throws {
        var rules = DialRules()
        rules.networks = [try network("192.168.7.1", 24), try network("127.0.0.1", 8)]
        #expect(!rules.isOurs(try address("127.0.0.1"), port: 7411))
        rules.listenPort = 7411
        for (text, port, isOurs) in [
            ("192.168.7.1", 7411, true), ("192.168.7.1", 7412, false), ("192.168.7.2", 7411, false),
            ("127.0.0.5", 7411, true), ("8.8.8.8", 7411, false),
        ] {
            #expect(rules.isOurs(try address(text), port: port) == isOurs, "\(text):\(port)")
        }
        rules.listening = try address("127.0.0.2")
        #expect(rules.isOurs(try address("127.0.0.2"), port: 7411))
        #expect(!rules.isOurs(try address("127.0.0.1"), port: 7411))
    }

    /// Names and ports that nobody can listen on never become an address to dial.
    @Test(arguments: ["127.0.0.1:1", "localhost:1", "example.org:1", "8.8.8.8:0", "10.0.0.1:1"])
    func falseHintsAreNotDialled(_ text: String) throws {
        let topic = try #require(Topic([UInt8](repeating: 1, count: 20)))
        var generator = SeededGenerator(seed: 1)
        for origin in [PeerOrigin.dht, .exchange, .lan] {
            var plan = DialPlan()
            plan.rules.networks = [try network("127.0.0.1", 8)]
            plan.setTopics(interests: [topic], wanted: [topic])
            plan.hint(
                [PeerHint(topic: topic, endpoint: try SocketEndpoint(parsing: text))], from: origin,
                now: 0, using: &generator)
            let action = plan.next(now: 0, using: &generator)
            let isNear = origin == .lan && text == "127.0.0.1:1"
            #expect((action != nil) == isNear, "\(origin)")
        }
    }
}
