import Foundation
import PetalsCodec
import PetalsCore
import PetalsTesting
import Synchronization
import Testing

@testable import ShardFetch

/// A DHT node of another program (scripts/lib/dht_witness.py), driven line by line.
private final class Witness: Sendable {
    private let process = Process()
    private let input = Pipe()
    private let output = Pipe()
    private let text = Mutex("")

    /// Starts it with a Python that has libtorrent.
    init(python: String, address: String) throws {
        let script = URL(filePath: #filePath).deletingLastPathComponent()
            .appending(path: "../../scripts/lib/dht_witness.py").standardizedFileURL
        process.executableURL = URL(filePath: python)
        process.arguments = [script.path, address]
        process.standardInput = input
        process.standardOutput = output
        output.fileHandleForReading.readabilityHandler = { [weak self] handle in
            let data = handle.availableData
            self?.text.withLock { $0 += String(decoding: data, as: UTF8.self) }
        }
        try process.run()
    }

    /// What it said so far, line by line.
    var lines: [String] { text.withLock { $0.split(separator: "\n").map(String.init) } }

    /// Tells it what to do.
    func tell(_ line: String) throws {
        try input.fileHandleForWriting.write(contentsOf: Data((line + "\n").utf8))
    }

    /// Ends its input, and with that the process.
    func stop() {
        // A process that is gone already has no use for the end of its input.
        try? input.fileHandleForWriting.close()
        process.waitUntilExit()
        output.fileHandleForReading.readabilityHandler = nil
    }
}

extension Swarms {
    /// The standard is what others do: a DHT node of another program meets ours.
    ///
    /// scripts/check-dht says where its Python is; without one there is nothing to compare with.
    @Suite(
        .serialized,
        .enabled(if: ProcessInfo.processInfo.environment["PETALS_DHT_WITNESS"] != nil))
    struct OutsideWitnessTests {
        private func hex(_ bytes: [UInt8]) -> String {
            bytes.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
        }

        private func hex(_ topic: Topic) -> String { hex(Array(topic.bytes)) }

        /// The other program's node, and where it is.
        private func start(
            _ network: DHTLoopback
        ) async throws -> (witness: Witness, endpoint: SocketEndpoint) {
            let environment = ProcessInfo.processInfo.environment
            let python = try #require(environment["PETALS_DHT_WITNESS"])
            let witness = try Witness(python: python, address: network.host(9))
            let isReady = await eventually { !witness.lines.isEmpty }
            #expect(isReady)
            let greeting = try #require(witness.lines.first?.split(separator: " ").last)
            return (witness, try SocketEndpoint(parsing: String(greeting)))
        }

        @Test func anotherProgramAndWeFindEachOther() async throws {
            let network = DHTLoopback()
            let (witness, bootstrap) = try await start(network)
            defer { witness.stop() }
            let nodes = try [2, 3].map {
                try DHTNode(host: network.host($0), bootstrap: [bootstrap])
            }
            try await withNodes(nodes) {
                for (index, node) in nodes.enumerated() { try await node.start(port: 7001 + index) }
                let (ours, its) = (try randomTopic(), try randomTopic())
                let seen = "\(hex(ours)) \(network.host(2)):7001"
                let began = MonotonicClock.now
                nodes[0].table.announce(ours)
                try witness.tell("find \(hex(ours))")
                let isSeen = await eventually {
                    witness.lines.contains("found " + seen)
                }
                #expect(isSeen)
                print("it found us after \(MonotonicClock.now - began) s")

                let then = MonotonicClock.now
                try witness.tell("announce \(hex(its)) 9009")
                for node in nodes {
                    let isFound = await eventually {
                        node.table.find(its)
                        return node.hasFound(its, at: "\(network.host(9)):9009")
                    }
                    #expect(isFound)
                }
                print("we found it after \(MonotonicClock.now - then) s")
            }
        }

        /// A signed item that one of us stores is what the other program reads, to the byte, and
        /// the other way round (BEP 44).
        @Test func anotherProgramAndWeReadEachOthersItems() async throws {
            let network = DHTLoopback()
            let (witness, bootstrap) = try await start(network)
            defer { witness.stop() }
            let nodes = try [2, 3].map {
                try DHTNode(host: network.host($0), bootstrap: [bootstrap])
            }
            try await withNodes(nodes) {
                for (index, node) in nodes.enumerated() { try await node.start(port: 7001 + index) }
                let (owner, stranger) = (SigningIdentity(), SigningIdentity())
                let salt = CatalogueItem.salt(try #require(Digest(owner.publicKey)))
                let value = Array("5:ours!".utf8)
                let ours = MutableItem(
                    key: owner.publicKey,
                    signature: owner.sign(
                        MutableItem.signedBytes(sequence: 7, salt: salt, value: value)),
                    sequence: 7, salt: salt, value: value)
                nodes[0].table.setItems(puts: [ours], gets: [])
                try witness.tell("get \(hex(owner.publicKey)) \(hex(salt))")
                let expected = [
                    "item", hex(ours.key), hex(salt), "7", hex(ours.signature), hex(value),
                ].joined(separator: " ")
                let isRead = await eventually { witness.lines.contains(expected) }
                #expect(isRead, "it read \(witness.lines)")

                let found = Mutex<[MutableItem]>([])
                nodes[1].table.observeItems { item in found.withLock { $0.append(item) } }
                let other = Array("petals/c1".utf8)
                nodes[1].table.setItems(
                    puts: [], gets: [.init(key: stranger.publicKey, salt: other)])
                let key = hex(stranger.publicKey)
                try witness.tell("put \(hex(stranger.seed)) \(key) \(hex(other)) theirs")
                let isFound = await eventually {
                    found.withLock { items in
                        items.contains {
                            $0.key == stranger.publicKey && $0.salt == other
                                && $0.value == Array("6:theirs".utf8)
                        }
                    }
                }
                #expect(isFound)
                for item in found.withLock({ $0 }) {
                    let signed = MutableItem.signedBytes(
                        sequence: item.sequence, salt: item.salt, value: item.value)
                    #expect(
                        SigningIdentity.verify(
                            signature: item.signature, message: signed, publicKey: item.key))
                }
            }
        }
    }
}
