import Foundation
import PetalsCore
import Testing

@testable import PetalsCodec

/// The generator of Tests/Vectors/check_vectors.py (Knuth's MMIX, the top byte of each state).
func lcg(seed: UInt64, count: Int) -> [UInt8] {
    var state = seed
    var bytes: [UInt8] = []
    bytes.reserveCapacity(count)
    for _ in 0..<count {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        bytes.append(UInt8(truncatingIfNeeded: state >> 56))
    }
    return bytes
}

/// Whether two arrays are equal; `==` on large arrays takes long in a debug build.
func same(_ a: [UInt8], _ b: [UInt8]) -> Bool {
    guard a.count == b.count else { return false }
    // SAFETY: both have `a.count` bytes, which are only read.
    return unsafe a.withUnsafeBytes { first in
        unsafe b.withUnsafeBytes { second in
            guard let x = first.baseAddress, let y = second.baseAddress else { return true }
            return unsafe memcmp(x, y, first.count) == 0
        }
    }
}

/// The bytes of a hexadecimal text; empty where it is none, which no comparison survives.
func hex(_ text: String) -> [UInt8] {
    let digits = text.compactMap(\.hexDigitValue)
    return stride(from: 0, to: digits.count - 1, by: 2).map {
        UInt8(digits[$0] << 4 | digits[$0 + 1])
    }
}

/// The hexadecimal text of bytes.
func hex(_ bytes: [UInt8]) -> String {
    bytes.map { String(format: "%02x", $0) }.joined()
}

/// A key made of one byte.
func key(_ byte: UInt8) throws -> SecretKey {
    try #require(SecretKey(Array(repeating: byte, count: SecretKey.byteCount)))
}

/// Every pair (lower, upper) of points with lower <= upper.
func ranges(between points: [Int]) -> [Range<Int>] {
    let sorted = Set(points).sorted()
    return sorted.flatMap { lower in sorted.filter { $0 >= lower }.map { lower..<$0 } }
}

/// Tests/Vectors/format.json, which check_vectors.py computes without this program.
struct Vectors: Decodable {
    struct Keys: Decodable {
        struct DayTopic: Decodable {
            let day: UInt32
            let topic: String
        }
        let secret, storedSHA256: String
        let storedLength, dataShards, groupShards, rowsPerGroup: Int
        let blobKey, relayKey, documentKey, outerKey, innerKey, signedInner, modelReadKey: String
        let topicID: String
        let topics, fileTopics: [DayTopic]
    }
    struct Stream: Decodable {
        struct Part: Decodable {
            let offset: Int
            let plain, sealed: String
        }
        let key: String
        let parts: [Part]
    }
    struct Document: Decodable {
        let key, document, sealed: String
    }
    struct Tree: Decodable {
        struct Proof: Decodable {
            let lower, upper: Int
            let proof: [String]
        }
        let count: Int
        let root: String
        let proofs: [Proof]
    }
    struct Parity: Decodable {
        let dataShards, groupShards: Int
        let data, parity: [String]
    }
    struct Blob: Decodable {
        let seed: UInt64
        let storedLength, dataShards, groupShards, rowsPerGroup: Int
        let storedSHA256, blobKey, descriptor, sealedDescriptor, blobID, fileRecord: String
        let shardRoots: [String]
    }
    struct Record: Decodable {
        let size: Int
        let codec: UInt32
        let frameLengths: [UInt32]
        let sha256, blobID, blobKey, storedSHA256, record: String
    }
    struct GetRecord: Decodable {
        let request: UInt32
        let sha256, message: String
    }
    struct Manifest: Decodable {
        let signingSeed, givenReadKey, body, publisher, signature, readKey, sealed: String
        let manifestID, link, uncheckedLink, relayCap: String
    }

    let keys: Keys
    let stream: Stream
    let documents: [Document]
    let trees: [Tree]
    let parity: [Parity]
    let blobs: [Blob]
    let records: [Record]
    let getRecords: [GetRecord]
    let manifests: [Manifest]

    static func load(from file: String = #filePath) throws -> Vectors {
        let tests = URL(fileURLWithPath: file).deletingLastPathComponent()
            .deletingLastPathComponent()
        let data = try Data(contentsOf: tests.appendingPathComponent("Vectors/format.json"))
        return try JSONDecoder().decode(Vectors.self, from: data)
    }
}
