internal import CBlosc
internal import CLZ4
package import PetalsCore

/// One frame of plaintext to and from its stored form.
///
/// A frame that does not get smaller is stored as it is, and is told by its length. The same
/// library gives the same bytes for the same frame; publishing in place relies on it.
package enum FrameCoder {
    /// The stored form of a frame, of the frame's own length where it did not get smaller.
    ///
    /// - Precondition: the frame has 1 to `Limits.frameBytes` bytes.
    package static func encode(_ plain: [UInt8], codec: FrameCodec) -> [UInt8] {
        precondition(!plain.isEmpty && plain.count <= Limits.frameBytes)
        if codec == .raw { return plain }
        // SAFETY: the capacity passed on is the output's own, and `plain` is only read. A result
        // that would need as many bytes as the plaintext is of no use, so there is no need for more
        // room.
        let coded = unsafe [UInt8](unsafeUninitializedCapacity: plain.count) { output, count in
            let result = unsafe compress(
                plain, codec: codec,
                into: UnsafeMutableRawBufferPointer(start: output.baseAddress, count: plain.count))
            count = max(result, 0)
        }
        return coded.isEmpty || coded.count >= plain.count ? plain : coded
    }

    /// Decodes a stored frame that may come from anybody into the first `plainLength` bytes of
    /// `target`.
    ///
    /// - Throws: `PetalsError.corrupt` where it does not decode to exactly that many bytes; what
    ///   the target then holds means nothing.
    /// - Precondition: the target has `plainLength` bytes, at most `Limits.frameBytes`.
    package static func decode(
        stored: RawSpan, codec: FrameCodec, plainLength: Int,
        into target: UnsafeMutableRawBufferPointer
    ) throws(PetalsError) {
        precondition(plainLength >= 1 && plainLength <= Limits.frameBytes)
        precondition(target.count >= plainLength)
        let length: Int
        if stored.byteCount == plainLength {
            // SAFETY: both have `plainLength` bytes.
            unsafe stored.withUnsafeBytes { unsafe target.copyMemory(from: $0) }
            length = plainLength
        } else if stored.byteCount < 1 || stored.byteCount > plainLength {
            length = -1
        } else {
            // SAFETY: the target was checked to have `plainLength` bytes; the decoders write no
            // more than the count they are given.
            length = unsafe stored.withUnsafeBytes {
                unsafe decompress(
                    $0, codec: codec,
                    into: UnsafeMutableRawBufferPointer(rebasing: target[..<plainLength]))
            }
        }
        guard length == plainLength else {
            throw PetalsError(
                .corrupt,
                "a frame of \(stored.byteCount) stored bytes (\(codec)) does not decode to its "
                    + "\(plainLength) bytes; the file was published wrongly")
        }
    }

    /// Decodes a stored frame into an array of its own.
    ///
    /// - Throws: as `decode(stored:codec:plainLength:into:)`.
    package static func decode(
        stored: RawSpan, codec: FrameCodec, plainLength: Int
    ) throws(PetalsError) -> [UInt8] {
        var failure: PetalsError?
        // SAFETY: the capacity passed on is the output's own; the bytes count only when all of them
        // were written.
        let plain = unsafe [UInt8](unsafeUninitializedCapacity: plainLength) { output, count in
            do throws(PetalsError) {
                try unsafe decode(
                    stored: stored, codec: codec, plainLength: plainLength,
                    into: UnsafeMutableRawBufferPointer(
                        start: output.baseAddress, count: plainLength))
                count = plainLength
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
        return plain
    }

    /// The codec for a file, from samples across it, each a whole frame.
    ///
    /// Raw unless the best one takes at least 3 % off the samples' sum: a raw file is read leaf by
    /// leaf, a coded one frame by frame. Of equals, the one with the lowest number.
    package static func chooseCodec(samples: [[UInt8]]) -> FrameCodec {
        func total(_ codec: FrameCodec) -> Int {
            samples.reduce(0) { $0 + encode($1, codec: codec).count }
        }
        let totals = FrameCodec.allCases.map { (codec: $0, bytes: total($0)) }
        guard let raw = totals.first(where: { $0.codec == .raw }),
            let best = totals.min(by: {
                ($0.bytes, $0.codec.rawValue) < ($1.bytes, $1.codec.rawValue)
            }),
            best.bytes * 100 <= raw.bytes * 97
        else { return .raw }
        return best.codec
    }
}

// MARK: - The libraries

extension FrameCoder {
    /// Bytes of one element, as bitshuffle sees the frame.
    private static func elementBytes(_ codec: FrameCodec) -> Int {
        codec == .bitshuffle2 ? 2 : 4
    }

    /// Compresses into `output`; 0 or less where it does not fit.
    // SAFETY: all lengths are at most `Limits.frameBytes`, so they fit an Int32, and each is the
    // length of the buffer beside it.
    private static func compress(
        _ plain: [UInt8], codec: FrameCodec, into output: UnsafeMutableRawBufferPointer
    ) -> Int {
        unsafe plain.withUnsafeBytes { source in
            switch codec {
            case .raw:
                return 0
            case .lz4:
                return Int(
                    unsafe LZ4_compress_default(
                        source.baseAddress?.assumingMemoryBound(to: CChar.self),
                        output.baseAddress?.assumingMemoryBound(to: CChar.self),
                        Int32(source.count), Int32(output.count)))
            case .bitshuffle2, .bitshuffle4:
                // The `_ctx` form: no global state, no environment variables, no other threads.
                return Int(
                    unsafe blosc_compress_ctx(
                        5, BLOSC_BITSHUFFLE, elementBytes(codec), source.count,
                        source.baseAddress, output.baseAddress, output.count, "lz4", 0, 1))
            }
        }
    }

    /// Decompresses into `output`, and says how many bytes that gave; negative for a failure.
    // SAFETY: all lengths are at most `Limits.frameBytes`, so they fit an Int32, and each is the
    // length of the buffer beside it. Both decoders are the bounds-checked ones.
    private static func decompress(
        _ stored: UnsafeRawBufferPointer, codec: FrameCodec,
        into output: UnsafeMutableRawBufferPointer
    ) -> Int {
        switch codec {
        case .raw:
            return -1
        case .lz4:
            return Int(
                unsafe LZ4_decompress_safe(
                    stored.baseAddress?.assumingMemoryBound(to: CChar.self),
                    output.baseAddress?.assumingMemoryBound(to: CChar.self),
                    Int32(stored.count), Int32(output.count)))
        case .bitshuffle2, .bitshuffle4:
            guard unsafe isOwnChunk(stored, codec: codec, plainLength: output.count) else {
                return -1
            }
            return Int(
                unsafe blosc_decompress_ctx(stored.baseAddress, output.baseAddress, output.count, 1)
            )
        }
    }

    /// Whether a stored frame is a c-blosc chunk of exactly the kind that `compress` makes.
    ///
    /// c-blosc would follow a chunk's header into whichever of its compressors it names; only
    /// bitshuffle and LZ4 belong to the format.
    // SAFETY: the header is read only where there are its 16 bytes; the chunk is validated within
    // its own length.
    private static func isOwnChunk(
        _ stored: UnsafeRawBufferPointer, codec: FrameCodec, plainLength: Int
    ) -> Bool {
        guard stored.count > Int(BLOSC_MIN_HEADER_LENGTH) else { return false }
        // c-blosc's README_CHUNK_FORMAT: format 2, LZ4 format 1; flags: LZ4 in the three highest
        // bits, 0x10 for unsplit blocks, 0x04 for bitshuffle; then the element's size.
        let split: UInt8 = 0x10
        guard unsafe stored[0] == 2, unsafe stored[1] == 1, unsafe stored[2] & ~split == 0x24,
            unsafe Int(stored[3]) == elementBytes(codec)
        else { return false }
        var length = 0
        let result = unsafe blosc_cbuffer_validate(stored.baseAddress, stored.count, &length)
        return result == 0 && length == plainLength
    }
}
