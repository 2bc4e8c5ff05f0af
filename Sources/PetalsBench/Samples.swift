internal import PetalsCodec
internal import PetalsCore
internal import PetalsTesting

/// Inputs that are the same every time.
enum Samples {
    private static let seed: UInt64 = 0x7065_7461_6c73

    /// Bytes that do not compress.
    static func noise(_ count: Int) -> [UInt8] {
        var generator = SeededGenerator(seed: seed)
        return generator.bytes(count)
    }

    /// A frame of words, as a tokenizer's JSON has them; LZ4 takes about half off.
    static func text() -> [UInt8] {
        var generator = SeededGenerator(seed: seed)
        let words = (0..<2000).map { _ in
            (0..<Int.random(in: 2...11, using: &generator)).map { _ in
                UInt8.random(in: UInt8(ascii: "a")...UInt8(ascii: "z"), using: &generator)
            }
        }
        var bytes: [UInt8] = []
        while bytes.count < Limits.frameBytes {
            // Few words are frequent and most are rare.
            let rank = Int.random(in: 0..<words.count, using: &generator)
            bytes += words[rank * rank / words.count]
            bytes.append(UInt8(ascii: " "))
        }
        return Array(bytes.prefix(Limits.frameBytes))
    }

    /// A frame of weights as bfloat16: bell-shaped around zero with a deviation of 0.02.
    static func weights() -> [UInt8] {
        var generator = SeededGenerator(seed: seed)
        var bytes: [UInt8] = []
        bytes.reserveCapacity(Limits.frameBytes)
        while bytes.count < Limits.frameBytes {
            // The sum of twelve uniform numbers, as good as normal here (Irwin and Hall 1927).
            let sum = (0..<12).reduce(Float(-6)) { sum, _ in
                sum + Float.random(in: 0..<1, using: &generator)
            }
            let pattern = (0.02 * sum).bitPattern >> 16
            bytes.append(UInt8(truncatingIfNeeded: pattern))
            bytes.append(UInt8(truncatingIfNeeded: pattern >> 8))
        }
        return bytes
    }

    /// A blob of whole rows, each of k data cells and half as many for parity.
    static func blob(dataShards: Int = 8, rows: Int = 1) throws(PetalsError) -> SampleBlob {
        try SampleBlob(
            seed: seed, size: rows * dataShards * Limits.cellBytes, dataShards: dataShards,
            groupShards: dataShards + max(1, dataShards / 2))
    }

    /// The one data cell of a small blob, and the blob.
    static func cell() throws(PetalsError) -> (blob: SampleBlob, cell: VerifiedLeaves) {
        let blob = try blob(dataShards: 1)
        let address = CellAddress(shard: ShardIndex(0), cell: CellIndex(0))
        return (blob, try require(blob.cells[address], "the sample has no first cell"))
    }
}
