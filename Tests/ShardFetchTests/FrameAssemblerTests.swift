import NIOCore
import PetalsCore
import PetalsTesting
import Testing

@testable import ShardFetch

/// Frames come out as they went in, however the network cuts the stream, and nothing that a peer
/// can send does more than throw.
///
/// Streams of all kinds of frames are cut everywhere and damaged.
struct FrameAssemblerTests {
    @Test func everySplitOfAStreamOfSmallFrames() throws {
        let samples = try FrameSample.small
        let stream = samples.flatMap(\.bytes)
        for cut in 0...stream.count {
            let frames = try assemble([stream[..<cut], stream[cut...]])
            try #require(frames.count == samples.count, "cut at \(cut)")
            for (frame, sample) in zip(frames, samples) {
                #expect(areEqual(frame, sample.frame), "cut at \(cut)")
            }
        }
    }

    @Test func aStreamOfSmallFramesByteByByte() throws {
        let samples = try FrameSample.small
        let stream = samples.flatMap(\.bytes)
        let frames = try assemble(stream.indices.map { stream[$0...$0] })
        #expect(frames.count == samples.count)
        for (frame, sample) in zip(frames, samples) { #expect(areEqual(frame, sample.frame)) }
    }

    @Test func framesWithLeavesCutAtTheirEdges() throws {
        for sample in FrameSample.large {
            let stream = sample.bytes + sample.bytes
            var cuts: Set<Int> = []
            let proof = 5 + 8 + 16 * 32
            for edge in [0, 5, 13, 13 + 4 * 32, proof, 4096, sample.bytes.count] {
                cuts.formUnion((edge - 2...edge + 2).filter { (0...stream.count).contains($0) })
            }
            for cut in cuts {
                let frames = try assemble([stream[..<cut], stream[cut...]])
                #expect(frames.count == 2, "cut at \(cut)")
                for frame in frames { #expect(areEqual(frame, sample.frame), "cut at \(cut)") }
            }
        }
    }

    @Test func framesInPortionsOfTheNetwork() throws {
        let samples = try FrameSample.small + FrameSample.large
        let stream = samples.flatMap(\.bytes)
        for size in [1447, 16_384, 65_536, stream.count] {
            let portions = stride(from: 0, to: stream.count, by: size).map {
                stream[$0..<min($0 + size, stream.count)]
            }
            let frames = try assemble(portions)
            #expect(frames.count == samples.count)
            for (frame, sample) in zip(frames, samples) { #expect(areEqual(frame, sample.frame)) }
        }
    }

    @Test(arguments: [FrameKind.control, .data, .cellLayer, .document])
    func lengthsOutsideTheLimitsAreRefusedAtTheFirstFiveBytes(_ kind: FrameKind) {
        func isRefused(_ length: UInt32) -> Bool {
            var assembler = FrameAssembler()
            var buffer = ByteBuffer()
            buffer.writeInteger(length)
            buffer.writeInteger(kind.rawValue)
            do throws(PetalsError) {
                _ = try assembler.next(from: &buffer)
                return false
            } catch {
                return error.code == .protocolViolation
            }
        }
        let longest = UInt32(kind.bodyBytesMax + 1)
        #expect(isRefused(0))
        #expect(!isRefused(longest))
        for length in [longest + 1, 1 << 30, UInt32(Int32.max), UInt32.max] {
            #expect(isRefused(length), "\(length)")
        }
    }

    @Test func unknownKindsAreRefused() {
        for kind in UInt8.min...UInt8.max where FrameKind(rawValue: kind) == nil {
            #expect(throws: PetalsError.self) { try assemble([[0, 0, 0, 2, kind, 0]]) }
        }
    }

    /// Each of the eight bytes of a data frame's header that contradicts the rest.
    @Test func headersThatContradictTheirFrameAreRefused() throws {
        let good = FrameSample.data(leaves: 2..<3, proofs: 4).bytes
        #expect(try assemble([good[...]]).count == 1)
        // first leaf 16, no leaf, two leaves, 17 leaves, one proof less, 17 proofs, spare byte
        for (at, value) in [(9, 16), (10, 0), (10, 2), (10, 255), (11, 3), (11, 255), (12, 1)] {
            var bad = good
            bad[at] = UInt8(value)
            #expect(throws: PetalsError.self, "byte \(at) = \(value)") {
                try assemble([bad[...]])
            }
        }
        var layer = FrameSample.layer(cells: 3).bytes
        layer[12] = 4
        #expect(throws: PetalsError.self) { try assemble([layer[...]]) }
        layer[9] = 255
        #expect(throws: PetalsError.self) { try assemble([layer[...]]) }
        // A chunk that ends behind its document, an empty chunk, a document of 4 GiB.
        for document in [
            FrameSample.document(bytes: 4, total: 7, offset: 4),
            FrameSample.document(bytes: 0, total: 7, offset: 0),
            FrameSample.document(bytes: 4, total: Int(UInt32.max), offset: 0),
            FrameSample.document(bytes: 4, total: 8, offset: Int(UInt32.max)),
        ] {
            #expect(throws: PetalsError.self) { try assemble([document.bytes[...]]) }
        }
    }

    /// Damaged streams and noise, in random portions: frames or an error, never a trap; also when
    /// somebody goes on after the error.
    @Test func hostileBytesNeverTrap() throws {
        let good = try FrameSample.small.flatMap(\.bytes)
        var outcomes = (frames: 0, errors: 0)
        for seed in 0..<600 as Range<UInt64> {
            var generator = SeededGenerator(seed: seed)
            var bytes = seed % 3 == 0 ? generator.bytes(400) : good
            for _ in 0..<Int.random(in: 0...4, using: &generator) where seed % 3 != 0 {
                bytes[Int.random(in: bytes.indices, using: &generator)] =
                    UInt8.random(in: 0...255, using: &generator)
            }
            if seed % 3 == 2 { bytes.removeSubrange(0..<Int.random(in: 0..<50, using: &generator)) }
            var assembler = FrameAssembler()
            var rest = bytes[...]
            while !rest.isEmpty {
                let take = min(rest.count, Int.random(in: 1...64, using: &generator))
                var buffer = ByteBuffer(bytes: rest.prefix(take))
                rest = rest.dropFirst(take)
                do {
                    while try assembler.next(from: &buffer) != nil { outcomes.frames += 1 }
                } catch {
                    outcomes.errors += 1
                }
            }
        }
        #expect(outcomes.frames > 1000 && outcomes.errors > 100, "\(outcomes)")
    }

    @Test func aTruncatedStreamGivesNoFrame() throws {
        for sample in try FrameSample.small {
            for count in 0..<sample.bytes.count {
                #expect(try assemble([sample.bytes[..<count]]).isEmpty)
            }
        }
    }
}
