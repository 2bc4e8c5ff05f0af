internal import PetalsCodec
internal import PetalsCore
internal import Synchronization

/// The first pass over a file: what has to be known before its first byte can be sealed.
///
/// A SHA-256 goes through its bytes in order, on one core; so while one batch of frames is hashed,
/// the next is read and coded on the other cores.
struct FileSurvey {
    let sha256: Digest
    /// The SHA-256 of the stored stream, from which a public file's key is derived.
    let storedSHA256: Digest
    let frames: FrameTable
    /// The CRC-64 of each frame as it is stored, by which the second pass knows them again.
    let sums: [UInt64]

    /// Frames read, coded and hashed at the same time.
    private static let framesAtOnce = 16
    /// Frames tried for the codec, spread evenly over the file.
    private static let samplesMax = 16
    /// A coded file takes at most this share of its plaintext: below 3 % saved, raw is better.
    private static let worthwhileShare = 0.97

    /// Goes through a file.
    ///
    /// - Throws: `PetalsError.badInput` where it gets shorter meanwhile, `.system` from the disk.
    init(of reader: StreamReader, meter: ProgressMeter) throws(PetalsError) {
        let codec = FrameCoder.chooseCodec(samples: try reader.samples(Self.samplesMax))
        let plain = Mutex(StreamingSHA256())
        let stored = Mutex(StreamingSHA256())
        var plainSums: [UInt64] = []
        var codedSums: [UInt64] = []
        var lengths: [UInt32] = []
        var next = try Batch(reading: 0, of: reader, codec: codec)
        while let batch = next {
            let following = Mutex<Batch?>(nil)
            try concurrently(codec == .raw ? 2 : 3) { (lane) throws(PetalsError) in
                switch lane {
                case 0: plain.withLock { for frame in batch.plain { $0.update(frame) } }
                case 1:
                    let read = try Batch(reading: batch.range.upperBound, of: reader, codec: codec)
                    following.withLock { $0 = read }
                default: stored.withLock { for frame in batch.coded { $0.update(frame) } }
                }
            }
            plainSums += batch.plainSums
            codedSums += batch.codedSums
            lengths += batch.coded.map { UInt32(clamping: $0.count) }
            meter.add(batch.plain.reduce(0) { $0 + $1.count })
            next = following.withLock { $0 }
        }
        let size = reader.size
        sha256 = plain.withLock { $0.finalize() }
        // The samples promised more than the file kept: a raw file is read leaf by leaf.
        // And a terabyte's frame table would not fit into a manifest.
        let storedLength = lengths.reduce(0) { $0 + Int($1) }
        guard codec != .raw, Double(storedLength) <= Self.worthwhileShare * Double(size),
            lengths.count * 4 <= Limits.manifestBytesMax / 4
        else {
            storedSHA256 = sha256
            frames = try FrameTable(size: size, codec: .raw, lengths: [])
            sums = plainSums
            return
        }
        storedSHA256 = stored.withLock { $0.finalize() }
        frames = try FrameTable(size: size, codec: codec, lengths: lengths)
        sums = codedSums
    }

    /// Some frames and their stored form.
    private struct Batch: Sendable {
        let range: Range<Int>
        let plain: [[UInt8]]
        /// Empty for a raw file, whose frames are stored as they are.
        let coded: [[UInt8]]
        let plainSums: [UInt64]
        let codedSums: [UInt64]

        /// Reads the frames from `first` on; nil behind the last.
        init?(
            reading first: Int, of reader: StreamReader, codec: FrameCodec
        ) throws(PetalsError) {
            guard first < reader.frameCount else { return nil }
            range = first..<min(first + FileSurvey.framesAtOnce, reader.frameCount)
            var plain: [[UInt8]] = []
            for frame in range { plain.append(try reader.readFrame(frame)) }
            self.plain = plain
            plainSums = plain.map { crc64($0) }
            let frames = plain
            coded =
                codec == .raw
                ? [] : concurrentMap(frames.count) { FrameCoder.encode(frames[$0], codec: codec) }
            codedSums = coded.map { crc64($0) }
        }
    }
}
