/// Where each frame of a file lies in its stored stream.
///
/// A raw file needs no table: its stored stream is its plaintext. In a coded file the frames lie
/// back to back; a frame whose stored length equals its plaintext length is stored raw.
package struct FrameTable: Hashable, Sendable {
    package let codec: FrameCodec
    /// Bytes of plaintext.
    package let size: Int
    /// Stored bytes of each frame; empty for a raw file.
    package let lengths: [UInt32]
    /// Stored offset of each frame and of the end; empty for a raw file.
    private let offsets: [Int]

    /// Checks a table that may come from a document.
    ///
    /// - Throws: `PetalsError.corrupt` where the number of frames or a length is impossible.
    package init(size: Int, codec: FrameCodec, lengths: [UInt32]) throws(PetalsError) {
        self.size = size
        self.codec = codec
        self.lengths = lengths
        let expected = codec == .raw ? 0 : ceilDivide(size, Limits.frameBytes)
        guard lengths.count == expected else {
            throw PetalsError(
                .corrupt,
                "a file of \(size) bytes (\(codec)) has \(lengths.count) frames instead of "
                    + "\(expected)")
        }
        var offsets: [Int] = []
        offsets.reserveCapacity(expected == 0 ? 0 : expected + 1)
        var offset = 0
        for (frame, length) in lengths.enumerated() {
            let plain = min(Limits.frameBytes, size - frame * Limits.frameBytes)
            guard length >= 1, length <= plain else {
                throw PetalsError(
                    .corrupt,
                    "frame \(frame) claims \(length) stored bytes for \(plain) bytes of plaintext")
            }
            offsets.append(offset)
            offset += Int(length)
        }
        if expected > 0 { offsets.append(offset) }
        self.offsets = offsets
    }

    /// Bytes of the stored stream.
    package var storedLength: Int { offsets.last ?? size }

    /// Number of frames, for raw files too.
    package var frameCount: Int { ceilDivide(size, Limits.frameBytes) }

    /// The plaintext range of a frame.
    package func plainRange(frame: Int) -> Range<Int> {
        frame * Limits.frameBytes..<min((frame + 1) * Limits.frameBytes, size)
    }

    /// The stored range of a frame.
    package func storedRange(frame: Int) -> Range<Int> {
        codec == .raw ? plainRange(frame: frame) : offsets[frame]..<offsets[frame + 1]
    }

    /// The frames that a non-empty plaintext range touches.
    package func frames(covering plain: Range<Int>) -> Range<Int> {
        plain.lowerBound / Limits.frameBytes..<(plain.upperBound - 1) / Limits.frameBytes + 1
    }

    /// The stored bytes that are needed to read a non-empty plaintext range: the range itself in a
    /// raw file, whole frames in a coded one.
    package func storedRange(covering plain: Range<Int>) -> Range<Int> {
        guard codec != .raw else { return plain }
        let frames = frames(covering: plain)
        return offsets[frames.lowerBound]..<offsets[frames.upperBound]
    }

    /// The frames that a non-empty stored range touches; for coded files.
    ///
    /// - Complexity: O(log frames).
    package func frames(coveringStored stored: Range<Int>) -> Range<Int> {
        guard codec != .raw else { return frames(covering: stored) }
        return frame(atStored: stored.lowerBound)..<frame(atStored: stored.upperBound - 1) + 1
    }

    private func frame(atStored offset: Int) -> Int {
        var low = 0
        var high = lengths.count - 1
        while low < high {
            let middle = (low + high + 1) / 2
            if offsets[middle] <= offset { low = middle } else { high = middle - 1 }
        }
        return low
    }
}
