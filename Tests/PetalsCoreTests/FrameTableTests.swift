import PetalsCore
import PetalsTesting
import Testing

/// Looking up frames against walking over all of them, and tables that cannot be.
@Suite struct FrameTableTests {
    private static let frame = Limits.frameBytes

    /// A table of random lengths for a file of `size` bytes.
    private static func table(size: Int, seed: UInt64) throws -> FrameTable {
        var generator = SeededGenerator(seed: seed)
        let count = (size + frame - 1) / frame
        let lengths = (0..<count).map { index in
            let plain = min(frame, size - index * frame)
            return UInt32(Int.random(in: 1...plain, using: &generator))
        }
        return try FrameTable(size: size, codec: .lz4, lengths: lengths)
    }

    @Test(arguments: [1, 2, frame - 1, frame, frame + 1, 9 * frame, 9 * frame + 1, 20 * frame - 1])
    func lookupAgreesWithAWalk(size: Int) throws {
        let table = try Self.table(size: size, seed: UInt64(size))
        var plain: [Range<Int>] = []
        var stored: [Range<Int>] = []
        for (index, length) in table.lengths.enumerated() {
            let start = index * Self.frame
            plain.append(start..<min(start + Self.frame, size))
            let offset = stored.last?.upperBound ?? 0
            stored.append(offset..<offset + Int(length))
        }
        #expect(table.frameCount == plain.count)
        #expect(table.storedLength == stored.last?.upperBound)
        for index in plain.indices {
            #expect(table.plainRange(frame: index) == plain[index])
            #expect(table.storedRange(frame: index) == stored[index])
        }
        let plainEdges = Set(plain.flatMap { [$0.lowerBound, $0.lowerBound + 1, $0.upperBound] })
        for low in plainEdges {
            for high in plainEdges where high > low {
                let touched = plain.indices.filter { plain[$0].overlaps(low..<high) }
                let frames = table.frames(covering: low..<high)
                #expect(Array(frames) == touched)
                #expect(
                    table.storedRange(covering: low..<high)
                        == stored[frames.lowerBound]
                        .lowerBound..<stored[frames.upperBound - 1].upperBound)
            }
        }
        let storedEdges = Set(stored.flatMap { [$0.lowerBound, $0.lowerBound + 1, $0.upperBound] })
        for low in storedEdges {
            for high in storedEdges where high > low {
                let touched = stored.indices.filter { stored[$0].overlaps(low..<high) }
                #expect(Array(table.frames(coveringStored: low..<high)) == touched)
            }
        }
    }

    @Test func rawFilesNeedNoTable() throws {
        let size = 3 * Self.frame + 5
        let table = try FrameTable(size: size, codec: .raw, lengths: [])
        #expect(table.storedLength == size && table.frameCount == 4)
        #expect(table.storedRange(covering: 7..<9) == 7..<9)
        #expect(table.storedRange(frame: 3) == 3 * Self.frame..<size)
        #expect(table.frames(coveringStored: Self.frame - 1..<Self.frame + 1) == 0..<2)
    }

    @Test(
        arguments: [
            (10, .raw, [10]), (10, .lz4, []), (10, .lz4, [5, 5]), (10, .lz4, [0]), (10, .lz4, [11]),
            (frame + 1, .bitshuffle2, [UInt32(frame), 2]), (frame + 1, .bitshuffle4, [1]),
            (frame + 1, .lz4, [.max, 1]), (frame, .lz4, [UInt32(frame) + 1]),
        ] as [(Int, FrameCodec, [UInt32])])
    func impossibleTablesAreRefused(size: Int, codec: FrameCodec, lengths: [UInt32]) {
        #expect(throws: PetalsError.self) {
            try FrameTable(size: size, codec: codec, lengths: lengths)
        }
    }
}
