import Foundation
import PetalsCore
import PetalsTesting
import Testing

@testable import ShardFetch

extension Swarms {
    /// Real DHT nodes on loopback, which know nobody but each other.
    @Suite(.serialized) struct DistributedHashTableTests {
        /// Asks again and again, as a node does whose reader waits.
        private func finds(_ node: DHTNode, _ topic: Topic, at endpoint: String) async -> Bool {
            await eventually {
                node.table.find(topic)
                return node.hasFound(topic, at: endpoint)
            }
        }

        /// One of three is known to the others at first; each finds what each announces.
        @Test func threeNodesFindEachOther() async throws {
            let network = DHTLoopback()
            let first = try DHTNode(host: network.host(2))
            try await first.start(port: 7001)
            let others = try [3, 4].map {
                try DHTNode(host: network.host($0), bootstrap: [first.endpoint])
            }
            let nodes = [first] + others
            try await withNodes(nodes) {
                for (index, node) in others.enumerated() {
                    try await node.start(port: 7002 + index)
                }
                let own = try nodes.map { _ in try randomTopic() }
                for (node, topic) in zip(nodes, own) { node.table.announce(topic) }
                let began = MonotonicClock.now
                for (index, topic) in own.enumerated() {
                    let address = "\(network.host(2 + index)):\(7001 + index)"
                    for (asker, node) in nodes.enumerated() where asker != index {
                        let isFound = await finds(node, topic, at: address)
                        #expect(isFound, "node \(asker) does not find node \(index)")
                    }
                }
                print("three nodes found each other in \(MonotonicClock.now - began) s")
                // Nobody found itself, or anything that nobody asked for.
                for (index, node) in nodes.enumerated() {
                    let itself = "\(network.host(2 + index)):\(7001 + index)"
                    #expect(!node.found.contains { $0.endpoint.description == itself })
                    #expect(node.found.allSatisfy { own.contains($0.topic) })
                    #expect(node.table.status.nodes > 0)
                }
            }
        }

        /// Two are enough: what one announces can only be kept by the other.
        @Test func twoNodesFindEachOther() async throws {
            let network = DHTLoopback()
            let first = try DHTNode(host: network.host(2))
            try await first.start(port: 7001)
            let second = try DHTNode(host: network.host(3), bootstrap: [first.endpoint])
            try await withNodes([first, second]) {
                try await second.start(port: 7002)
                let topic = try randomTopic()
                first.table.announce(topic)
                second.table.announce(topic)
                let isSecondFound = await finds(first, topic, at: "\(network.host(3)):7002")
                #expect(isSecondFound)
                let isFirstFound = await finds(second, topic, at: "\(network.host(2)):7001")
                #expect(isFirstFound)
            }
        }

        // MARK: Ends

        /// Stopping does not wait for lookups, and nothing is found afterwards.
        @Test(arguments: 0..<4) func stopsWhileLookupsRun(round: Int) async throws {
            let network = DHTLoopback()
            let first = try DHTNode(host: network.host(2))
            try await first.start(port: 7001)
            let second = try DHTNode(host: network.host(3), bootstrap: [first.endpoint])
            try await withNodes([first, second]) {
                try await second.start(port: 7002)
                let topics = try (0..<50).map { _ in try randomTopic() }
                for topic in topics {
                    first.table.announce(topic)
                    second.table.find(topic)
                }
                if round > 0 {
                    let isUnderWay = await eventually { second.table.status.nodes > 0 }
                    #expect(isUnderWay)
                }
                async let other: Void = first.table.stop()
                await second.table.stop()
                await other
                let found = second.found
                // What is asked of a source that has ended is kept for the day it starts again.
                for topic in topics { second.table.find(topic) }
                await second.table.stop()
                #expect(second.found == found)
                if round == 3 {
                    try await second.start(port: 7002)
                    await #expect(throws: PetalsError.self) { try await second.start(port: 7002) }
                }
            }
        }

        /// Nobody is there, under an address or a name: the source runs, and waits.
        @Test func aBootstrapThatDoesNotExistStallsNothing() async throws {
            let network = DHTLoopback()
            let bootstrap = try [network.host(9) + ":9", "nobody.invalid:6881"].map {
                try SocketEndpoint(parsing: $0)
            }
            let node = try DHTNode(host: network.host(2), bootstrap: bootstrap)
            try await withNodes([node]) {
                try await node.start(port: 7001)
                node.table.announce(try randomTopic())
                node.table.find(try randomTopic())
                let isTried = await eventually {
                    node.log.all.contains { $0.contains("no name of a DHT node") }
                }
                #expect(isTried)
                #expect(node.table.status.nodes == 0)
                #expect(node.found.isEmpty)
            }
        }

        @Test func anAddressOfAnotherMachineIsRefused() async throws {
            let node = try DHTNode(host: "198.51.100.77")
            try await withNodes([node]) {
                let error = await #expect(throws: PetalsError.self) {
                    try await node.start(port: 7001)
                }
                #expect(error?.message.contains("198.51.100.77:0") == true)
            }
            let named = try DHTNode(host: "localhost")
            await #expect(throws: PetalsError.self) { try await named.start(port: 7001) }
            let far = try DHTNode(host: DHTLoopback().host(2))
            for port in [-1, 65536] {
                await #expect(throws: PetalsError.self) { try await far.start(port: port) }
            }
        }

        // MARK: The routing table

        /// A node that was once told of another one needs no bootstrap any more.
        @Test func theRoutingTableOutlivesTheNode() async throws {
            let network = DHTLoopback()
            let folder = try TemporaryFolder()
            let path = folder.path + "/dht"
            let first = try DHTNode(host: network.host(2))
            try await first.start(port: 7001)
            let second = try DHTNode(
                host: network.host(3), bootstrap: [first.endpoint], statePath: path)
            // The same node in its next life.
            let third = try DHTNode(host: network.host(3), statePath: path)
            try await withNodes([first, second, third]) {
                try await second.start(port: 7002)
                let isJoined = await eventually { second.table.status.nodes > 0 }
                #expect(isJoined)
                await second.table.stop()
                let attributes = try FileManager.default.attributesOfItem(atPath: path)
                #expect(attributes[.posixPermissions] as? Int == 0o600)
                try await third.start(port: 7003)
                let isJoinedAgain = await eventually { third.table.status.nodes > 0 }
                #expect(isJoinedAgain)
            }
        }

        /// Each wrong file is as good as none.
        @Test func aDamagedRoutingTableIsLeftAside() async throws {
            var generator = SeededGenerator(seed: 61)
            let folder = try TemporaryFolder()
            let files = [
                [], generator.bytes(100), generator.bytes(300 << 10), Array("d".utf8),
                Array("d9:dht stated5:nodesl1:xee".utf8), Array("d9:dht statei5ee".utf8),
                Array("d9:dht stated7:node-idl3:abce5:nodesl6:\0\0\0\0\0\0eee".utf8),
                Array(String(repeating: "l", count: 100_000).utf8),
            ]
            let network = DHTLoopback()
            for (index, bytes) in files.enumerated() {
                let path = try folder.write(bytes, to: "dht\(index)")
                let node = try DHTNode(host: network.host(2), statePath: path)
                try await withNodes([node]) { try await node.start(port: 7001) }
            }
        }
    }
}
