import NIOCore
import PetalsCore
import PetalsTesting
import Testing

@testable import ShardFetch

extension PeerConnection.ID {
    /// A peer of a test that has no connection.
    static func peer(_ number: Int) -> Self { Self(rawValue: number) }
}

/// Frames of every kind, with what they are.
struct FrameSample: Sendable {
    let bytes: [UInt8]
    let frame: InboundFrame

    init(_ buffer: ByteBuffer, _ frame: InboundFrame) {
        bytes = Array(buffer.readableBytesView)
        self.frame = frame
    }

    static func digest(_ word: UInt64) -> Digest { Digest(words: (word, 1, 2, 3)) }

    static func control(_ message: ControlMessage) -> FrameSample {
        FrameSample(FrameEncoder.control(message), .control(message))
    }

    static func data(leaves: Range<Int>, proofs: Int) -> FrameSample {
        var generator = SeededGenerator(seed: UInt64(leaves.count))
        let header = DataHeader(request: 0xdead_beef, leaves: leaves, proofCount: proofs)
        let proof = (0..<proofs).map { digest(UInt64($0)) }
        let bytes = generator.bytes(leaves.count * Limits.leafBytes)
        return FrameSample(
            FrameEncoder.data(header, proof: proof, leaves: bytes[...]),
            .data(header, proof: proof, leaves: bytes))
    }

    static func layer(cells: Int) -> FrameSample {
        let header = CellLayerHeader(request: 7, cellCount: cells)
        let hashes = (0..<cells).map { digest(UInt64($0)) }
        return FrameSample(
            FrameEncoder.cellLayer(header, hashes: hashes), .cellLayer(header, hashes: hashes))
    }

    static func document(bytes: Int, total: Int, offset: Int) -> FrameSample {
        let header = DocumentHeader(request: 1 << 31, total: total, offset: offset)
        let chunk = (0..<bytes).map { UInt8(truncatingIfNeeded: $0) }
        return FrameSample(
            FrameEncoder.document(header, chunk: chunk[...]), .document(header, chunk: chunk))
    }

    /// Small frames: the stream of these is cut at every place.
    static var small: [FrameSample] {
        get throws {
            let topic = try #require(Topic((0..<20).map { UInt8($0) }))
            return [
                control(.ping(1)),
                control(.unknown),
                control(.hello(.init(agent: "test", requestsMax: 1, requestedBytesMax: 2))),
                control(.join(topic)),
                control(.holdings(topic, [.init(shard: ShardIndex(3), cells: [1, 2])])),
                control(.refuse(request: 9, .busy)),
                layer(cells: 0),
                layer(cells: 3),
                document(bytes: 1, total: 1, offset: 0),
                document(bytes: 40, total: 100, offset: 60),
            ]
        }
    }

    /// Frames with leaves, at the edges of what there may be.
    static var large: [FrameSample] {
        [
            data(leaves: 0..<1, proofs: 4), data(leaves: 15..<16, proofs: 16),
            data(leaves: 0..<16, proofs: 0), layer(cells: Limits.rowsPerGroupMax),
        ]
    }
}

func areEqual(_ one: InboundFrame, _ other: InboundFrame) -> Bool {
    switch (one, other) {
    case (.control(let a), .control(let b)): a == b
    case (.data(let a, let p, let x), .data(let b, let q, let y)): a == b && p == q && x == y
    case (.cellLayer(let a, let p), .cellLayer(let b, let q)): a == b && p == q
    case (.document(let a, let x), .document(let b, let y)): a == b && x == y
    default: false
    }
}

/// Feeds portions to an assembler, each of them whole, and gives the frames.
func assemble(_ portions: [ArraySlice<UInt8>]) throws -> [InboundFrame] {
    var assembler = FrameAssembler()
    var frames: [InboundFrame] = []
    for portion in portions {
        var buffer = ByteBuffer(bytes: portion)
        while let frame = try assembler.next(from: &buffer) { frames.append(frame) }
        #expect(buffer.readableBytes == 0, "the assembler left bytes behind")
    }
    return frames
}
