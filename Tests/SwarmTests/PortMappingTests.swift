import Foundation
import NIOCore
import PetalsCore
import PetalsTesting
import Testing

@testable import ShardFetch

extension Swarms {
    /// A home router forwards the port that it likes, and that is the one to announce.
    ///
    /// scripts/check-dht runs this in a network with such a router and nothing else.
    @Suite(
        .serialized,
        .enabled(if: ProcessInfo.processInfo.environment["PETALS_NAT_ROUTER"] != nil))
    struct PortMappingTests {
        private func node(
            _ bootstrap: SocketEndpoint, mapsPorts: Bool
        ) throws -> DHTNode {
            var configuration = DHTConfiguration(
                bootstrap: [bootstrap], listen: [try SocketEndpoint(parsing: "0.0.0.0:0")],
                mapsPorts: mapsPorts)
            configuration.isPrivate = true
            return DHTNode(configuration)
        }

        @Test func theForwardedPortIsAnnounced() async throws {
            let listener = LyingNode(peers: [])
            let (channel, address) = try await listener.listen(on: "10.9.8.2")
            let node = try node(address, mapsPorts: true)
            try await withNodes([node]) {
                try await node.start(port: 7411)
                node.table.announce(try randomTopic())
                let isMapped = await eventually { node.table.status.mappedPort == 8411 }
                #expect(isMapped)
                let isAnnounced = await eventually { listener.count("4:porti8411e") > 0 }
                #expect(isAnnounced)
                #expect(node.log.all.contains { $0.contains("forwards its port 8411 to 7411") })
            }
            try await channel.close()
        }

        @Test func whoDoesNotAskIsNotForwarded() async throws {
            let listener = LyingNode(peers: [])
            let (channel, address) = try await listener.listen(on: "10.9.8.2")
            let node = try node(address, mapsPorts: false)
            try await withNodes([node]) {
                try await node.start(port: 7411)
                node.table.announce(try randomTopic())
                let isAnnounced = await eventually { listener.count("4:porti7411e") > 0 }
                #expect(isAnnounced)
                #expect(node.table.status.mappedPort == nil)
            }
            try await channel.close()
        }
    }
}
