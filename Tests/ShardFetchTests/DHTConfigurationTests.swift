import PetalsCore
import Testing

@testable import ShardFetch

/// Which addresses the DHT may give, and whom it asks at first.
struct DHTConfigurationTests {
    private func endpoints(_ texts: [String]) throws -> [SocketEndpoint] {
        try texts.map { try SocketEndpoint(parsing: $0) }
    }

    @Test func withoutBootstrapItIsThePublicOne() throws {
        let configuration = DHTConfiguration()
        #expect(!configuration.isPrivate)
        #expect(configuration.routers.count == 3)
        #expect(configuration.listen.count == 2)
        var first = configuration
        first.isPrivate = true
        #expect(first.routers.isEmpty, "the first node of a private DHT asks nobody")
    }

    @Test(
        arguments: [
            (["127.0.0.2:1"], true), (["10.1.2.3:1", "[::1]:1", "192.168.0.1:1"], true),
            (["fd00::1"].map { "[\($0)]:1" }, true), (["10.1.2.3:1", "8.8.8.8:1"], false),
            (["10.1.2.3:1", "example.org:1"], false), (["0.0.0.0:1"], false),
        ])
    func aDHTIsPrivateWhenAllItsFirstNodesAre(_ texts: [String], _ isPrivate: Bool) throws {
        let bootstrap = try endpoints(texts)
        let configuration = DHTConfiguration(bootstrap: bootstrap)
        #expect(configuration.isPrivate == isPrivate)
        #expect(configuration.routers == bootstrap)
    }

    /// Every kind of address against every kind of DHT.
    @Test func addressesAreAcceptedWhereTheyCanBeMeant() throws {
        var open = DHTConfiguration()
        open.listen = try endpoints(["127.0.0.2:0"])
        var network = DHTConfiguration()
        network.isPrivate = true
        var machine = open
        machine.isPrivate = true
        let expected: [(String, isInOpen: Bool, isInNetwork: Bool, isInMachine: Bool)] = [
            ("8.8.8.8:1", true, true, true), ("[2600::1]:65535", true, true, true),
            ("10.0.0.1:1", false, true, true), ("192.168.1.1:1", false, true, true),
            ("172.31.255.255:1", false, true, true), ("100.64.0.1:1", false, true, true),
            ("169.254.0.1:1", false, true, true), ("[fd00::1]:1", false, true, true),
            ("127.0.0.1:1", false, false, true), ("[::1]:1", false, false, true),
            ("[::ffff:127.0.0.1]:1", false, false, true),
            ("0.0.0.0:1", false, false, false), ("[::]:1", false, false, false),
            ("224.0.0.1:1", false, false, false), ("255.255.255.255:1", false, false, false),
            ("[ff02::1]:1", false, false, false), ("[fe80::1]:1", false, false, false),
            ("8.8.8.8:0", false, false, false), ("[2600::1]:0", false, false, false),
            ("127.0.0.1:0", false, false, false),
        ]
        for (text, isInOpen, isInNetwork, isInMachine) in expected {
            let endpoint = try #require(NumericEndpoint(SocketEndpoint(parsing: text)))
            #expect(open.accepts(endpoint) == isInOpen, "\(text)")
            #expect(network.accepts(endpoint) == isInNetwork, "\(text)")
            #expect(machine.accepts(endpoint) == isInMachine, "\(text)")
        }
    }
}
