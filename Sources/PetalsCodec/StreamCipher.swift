internal import CSodium
package import PetalsCore

/// The content cipher: XChaCha20 (draft-irtf-cfrg-xchacha) under a zero nonce, from any offset.
///
/// A key seals exactly one stream, so there is nothing for a nonce to tell apart. The block counter
/// is the offset in the stream divided by 64 (64 bits wide, as in libsodium), which makes every
/// byte of the stream reachable without those before it. Sealing and opening are the same.
/// Integrity is the hash tree's business.
package struct StreamCipher: Sendable {
    /// Bytes of one block of the cipher.
    private static let blockBytes = 64

    private let key: [UInt8]
    private let nonce = [UInt8](repeating: 0, count: 24)

    package init(key: SecretKey) {
        _ = Sodium.started
        self.key = key.bytes
    }

    /// Seals or opens a part of an array in place.
    ///
    /// - Parameters:
    ///   - streamOffset: where the part's first byte lies in the stream.
    ///   - range: the part; all of the array unless given.
    /// - Precondition: the range lies inside the array and the offset is not negative.
    package func apply(at streamOffset: Int, to bytes: inout [UInt8], range: Range<Int>? = nil) {
        let range = range ?? bytes.indices
        precondition(range.lowerBound >= 0 && range.upperBound <= bytes.count)
        // SAFETY: the range was checked against the array, which the closure owns meanwhile.
        unsafe bytes.withUnsafeMutableBytes { buffer in
            let part = unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[range])
            unsafe apply(at: streamOffset, from: UnsafeRawBufferPointer(part), to: part)
        }
    }

    /// Seals or opens `source` into `target`, which may be the same memory but not overlap
    /// otherwise.
    ///
    /// - Parameter streamOffset: where the first byte lies in the stream.
    /// - Precondition: both have the same length and the offset is not negative.
    package func apply(
        at streamOffset: Int, from source: UnsafeRawBufferPointer,
        to target: UnsafeMutableRawBufferPointer
    ) {
        precondition(streamOffset >= 0)
        precondition(source.count == target.count)
        // What lies before the first block border goes through a block of its own.
        let inBlock = streamOffset % Self.blockBytes
        let head = inBlock == 0 ? 0 : min(Self.blockBytes - inBlock, source.count)
        if head > 0 {
            // SAFETY: `inBlock + head` is at most a block, and `head` at most both lengths.
            unsafe withUnsafeTemporaryAllocation(byteCount: Self.blockBytes, alignment: 8) {
                let block = unsafe $0
                unsafe block.initializeMemory(as: UInt8.self, repeating: 0)
                let part = unsafe UnsafeMutableRawBufferPointer(
                    rebasing: block[inBlock..<inBlock + head])
                unsafe part.copyMemory(from: UnsafeRawBufferPointer(rebasing: source[..<head]))
                unsafe xor(
                    UnsafeRawBufferPointer(block), into: block,
                    block: UInt64(streamOffset / Self.blockBytes))
                unsafe target.copyMemory(from: UnsafeRawBufferPointer(part))
            }
        }
        guard head < source.count else { return }
        // SAFETY: `head` is less than both lengths.
        unsafe xor(
            UnsafeRawBufferPointer(rebasing: source[head...]),
            into: UnsafeMutableRawBufferPointer(rebasing: target[head...]),
            block: UInt64((streamOffset + head) / Self.blockBytes))
    }

    /// Runs the cipher from a block border on.
    // SAFETY: the caller passes buffers of one length; key and nonce have the 32 and 24 bytes that
    // libsodium reads.
    private func xor(
        _ source: UnsafeRawBufferPointer, into target: UnsafeMutableRawBufferPointer, block: UInt64
    ) {
        guard let from = source.baseAddress, let into = target.baseAddress else { return }
        let result = unsafe crypto_stream_xchacha20_xor_ic(
            into.assumingMemoryBound(to: UInt8.self), from.assumingMemoryBound(to: UInt8.self),
            UInt64(source.count), nonce, block, key)
        precondition(result == 0)
    }
}
