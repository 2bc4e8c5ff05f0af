import Foundation
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
        private func hex(_ topic: Topic) -> String {
            topic.bytes.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
        }

        @Test func anotherProgramAndWeFindEachOther() async throws {
            let environment = ProcessInfo.processInfo.environment
            let python = try #require(environment["PETALS_DHT_WITNESS"])
            let network = DHTLoopback()
            let witness = try Witness(python: python, address: network.host(9))
            defer { witness.stop() }
            let isReady = await eventually { !witness.lines.isEmpty }
            #expect(isReady)
            let greeting = try #require(witness.lines.first?.split(separator: " ").last)
            let bootstrap = try SocketEndpoint(parsing: String(greeting))

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
    }
}
