import PetalsCore
import PetalsTesting
import Testing

@testable import PetalsCodec

/// Goal: a frame comes back as it was, and nothing else is ever taken for one.
///
/// Method: round trips over contents and lengths; then cut, lengthened, random and mutated frames.
@Suite struct FrameCoderTests {
    /// Floats of a narrow range, as weights are: their high bytes hardly vary.
    static func weights(_ count: Int, elementBytes: Int, seed: UInt64) -> [UInt8] {
        var random = SeededGenerator(seed: seed)
        var bytes: [UInt8] = []
        while bytes.count < count {
            let word = random.next()
            for byte in 0..<elementBytes - 1 {
                bytes.append(UInt8(truncatingIfNeeded: word >> UInt64(8 * byte)))
            }
            bytes.append(UInt8(truncatingIfNeeded: 0x3C + (word >> 40 & 1)))
        }
        return Array(bytes[..<count])
    }

    static func decoded(
        _ stored: [UInt8], _ codec: FrameCodec, _ plainLength: Int
    ) throws(PetalsError) -> [UInt8] {
        // SAFETY: a `UInt8` has no padding.
        try unsafe FrameCoder.decode(
            stored: stored.span.bytes, codec: codec, plainLength: plainLength)
    }

    @Test(arguments: FrameCodec.allCases)
    func roundTrips(codec: FrameCodec) throws {
        let full = Limits.frameBytes
        for length in [1, 2, 3, 15, 16, 17, 127, 128, 129, 4095, 65_536, full - 1, full] {
            let frames = [
                Array(repeating: 0, count: length),
                (0..<length).map { UInt8(truncatingIfNeeded: $0 / 7) },
                lcg(seed: 3, count: length),
                Self.weights(length, elementBytes: 2, seed: 1),
                Self.weights(length, elementBytes: 4, seed: 2),
            ]
            for (kind, plain) in frames.enumerated() {
                let stored = FrameCoder.encode(plain, codec: codec)
                #expect(stored.count >= 1 && stored.count <= length)
                if stored.count == length { #expect(same(stored, plain)) }
                let back = try Self.decoded(stored, codec, length)
                #expect(same(back, plain), "\(codec), kind \(kind), \(length) bytes")
                #expect(same(FrameCoder.encode(plain, codec: codec), stored), "deterministic")
            }
        }
    }

    @Test func eachCodecHasItsData() {
        let random = (0..<3).map { lcg(seed: $0, count: 40_000) }
        #expect(FrameCoder.chooseCodec(samples: random) == .raw)
        #expect(FrameCoder.chooseCodec(samples: []) == .raw)
        let text = [(0..<40_000).map { UInt8(truncatingIfNeeded: $0 % 61) }]
        #expect(FrameCoder.chooseCodec(samples: text) == .lz4)
        let halves = (0..<2).map { Self.weights(65_536, elementBytes: 2, seed: $0) }
        #expect(FrameCoder.chooseCodec(samples: halves) == .bitshuffle2)
        let floats = (0..<2).map { Self.weights(65_536, elementBytes: 4, seed: $0) }
        #expect(FrameCoder.chooseCodec(samples: floats) == .bitshuffle4)
    }

    @Test func aFileThatHardlyShrinksStaysRaw() {
        // 2 % of zeros at the end of random bytes: under the 3 % that a coded file must gain.
        let little = lcg(seed: 1, count: 98_000) + Array(repeating: 0, count: 2_000)
        #expect(FrameCoder.encode(little, codec: .lz4).count < little.count)
        #expect(FrameCoder.chooseCodec(samples: [little]) == .raw)
        let enough = lcg(seed: 1, count: 95_000) + Array(repeating: 0, count: 5_000)
        #expect(FrameCoder.chooseCodec(samples: [enough]) != .raw)
    }

    @Test(arguments: [FrameCodec.lz4, .bitshuffle2, .bitshuffle4])
    func wrongLengthsAreRejected(codec: FrameCodec) throws {
        let plain =
            Self.weights(20_000, elementBytes: 4, seed: 5) + Array(repeating: 1, count: 9000)
        let stored = FrameCoder.encode(plain, codec: codec)
        try #require(stored.count < plain.count)
        for length in [plain.count - 1, plain.count + 1, stored.count + 1, 1, Limits.frameBytes] {
            #expect(throws: PetalsError.self) { try Self.decoded(stored, codec, length) }
        }
        for cut in [0, 1, 15, 16, 17, stored.count / 2, stored.count - 1] {
            #expect(throws: PetalsError.self) {
                try Self.decoded(Array(stored[..<cut]), codec, plain.count)
            }
        }
        // Longer than its plaintext: no frame of ours.
        #expect(throws: PetalsError.self) {
            try Self.decoded(plain + [0], codec, plain.count)
        }
    }

    @Test func aRawFrameIsAsLongAsItsPlaintext() {
        #expect(throws: PetalsError.self) { try Self.decoded([1, 2, 3], .raw, 4) }
        #expect(throws: PetalsError.self) { try Self.decoded([1, 2, 3], .raw, 2) }
    }

    /// c-blosc would decode any of its compressors; the format has one.
    @Test func foreignChunksAreRejected() throws {
        let plain = Self.weights(20_000, elementBytes: 2, seed: 5)
        let stored = FrameCoder.encode(plain, codec: .bitshuffle2)
        #expect(try Self.decoded(stored, .bitshuffle2, plain.count) == plain)
        #expect(throws: PetalsError.self) { try Self.decoded(stored, .bitshuffle4, plain.count) }
        #expect(throws: PetalsError.self) { try Self.decoded(stored, .lz4, plain.count) }
        for position in 0..<4 {
            for value in 0...UInt8.max where value != stored[position] {
                // Whether blocks are split is the one thing that a header may choose.
                if position == 2, value == stored[position] ^ 0x10 { continue }
                var wrong = stored
                wrong[position] = value
                #expect(throws: PetalsError.self) {
                    try Self.decoded(wrong, .bitshuffle2, plain.count)
                }
            }
        }
    }

    @Test(arguments: [FrameCodec.lz4, .bitshuffle2, .bitshuffle4])
    func hostileFramesDecodeOrFail(codec: FrameCodec) {
        let seed = UInt64.random(in: 0...UInt64.max)
        // Printed first: a decoder that traps prints nothing after.
        print("hostile \(codec) frames from seed \(seed)")
        var random = SeededGenerator(seed: seed)
        let plain =
            Self.weights(9_000, elementBytes: 2, seed: 1) + Array(repeating: 7, count: 3_000)
        let good = FrameCoder.encode(plain, codec: codec)
        for round in 0..<3_000 {
            var stored: [UInt8]
            if round % 3 == 0 {
                stored = random.bytes(Int.random(in: 1...200, using: &random))
                // Past the first gate, so that the library sees the rest.
                if codec != .lz4, stored.count > 16 {
                    stored.replaceSubrange(0..<8, with: good[0..<8])
                }
            } else {
                stored = good
                for _ in 0...Int.random(in: 0...3, using: &random) {
                    stored[Int.random(in: 0..<stored.count, using: &random)] = UInt8.random(
                        in: 0...255, using: &random)
                }
                if round % 3 == 2 {
                    stored.removeLast(Int.random(in: 0..<stored.count, using: &random))
                }
            }
            do throws(PetalsError) {
                let decoded = try Self.decoded(stored, codec, plain.count)
                #expect(decoded.count == plain.count, "seed \(seed)")
            } catch {
                #expect(error.code == .corrupt, "seed \(seed)")
            }
        }
    }
}
