internal import COpenSSL
internal import CSodium
package import PetalsCore

/// The content cipher: XChaCha20 (draft-irtf-cfrg-xchacha) under a zero nonce, from any offset.
///
/// A key seals exactly one stream, so there is nothing for a nonce to tell apart. The block counter
/// is the offset in the stream divided by 64 (64 bits wide, as in libsodium), which makes every
/// byte of the stream reachable without those before it. Sealing and opening are the same.
/// Integrity is the hash tree's business.
///
/// XChaCha20 is ChaCha20 under a key that HChaCha20 makes of key and nonce. libsodium makes that
/// key, once; OpenSSL runs the stream, at twice the speed of libsodium's where the processor has
/// AVX-512 (docs/decisions/11-two-halves-of-a-cipher.md).
package struct StreamCipher: Sendable {
    /// Bytes of one block of the cipher.
    private static let blockBytes = 64
    /// Bytes that OpenSSL takes at once; its lengths are C's `int`.
    private static let pieceBytes = 1 << 30

    /// OpenSSL's ChaCha20, looked up once: looking it up takes as long as sealing some KiB.
    // SAFETY: written once, before the first use, and never changed: OpenSSL shares what it has
    // looked up between threads.
    private nonisolated(unsafe) static let algorithm: OpaquePointer? = {
        let found = unsafe EVP_CIPHER_fetch(nil, "ChaCha20", nil)
        // It is one of the ciphers of OpenSSL's own provider. Where an administrator has shut that
        // off, not one byte of any file can be read: there is nothing to fall back to.
        unsafe precondition(found != nil, "OpenSSL does not provide ChaCha20 here; see openssl.cnf")
        return unsafe found
    }()

    /// What HChaCha20 makes of the key and of 16 zero bytes.
    private let streamKey: [UInt8]

    /// The cipher of one stream.
    package init(key: SecretKey) {
        _ = Sodium.started
        let zeros = [UInt8](repeating: 0, count: Int(crypto_core_hchacha20_INPUTBYTES))
        var streamKey = [UInt8](repeating: 0, count: SecretKey.byteCount)
        // SAFETY: libsodium reads 16 and 32 bytes and writes 32, which is what the arrays have.
        let result = unsafe crypto_core_hchacha20(&streamKey, zeros, key.bytes, nil)
        precondition(result == 0)
        self.streamKey = streamKey
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
        guard let from = source.baseAddress, let into = target.baseAddress else { return }
        // What the first block has before the offset is run through and thrown away.
        var before = [UInt8](repeating: 0, count: streamOffset % Self.blockBytes)
        // SAFETY: the state belongs to this call alone; each piece lies inside of both buffers,
        // which have one length.
        let state = unsafe begin(at: UInt64(streamOffset / Self.blockBytes))
        defer { unsafe EVP_CIPHER_CTX_free(state) }
        unsafe before.withUnsafeMutableBytes {
            guard let start = $0.baseAddress else { return }
            unsafe run(state, from: start, into: start, count: $0.count)
        }
        // SAFETY: a piece ends where the buffers end.
        for start in stride(from: 0, to: source.count, by: Self.pieceBytes) {
            let count = min(Self.pieceBytes, source.count - start)
            unsafe run(state, from: from + start, into: into + start, count: count)
        }
    }

    /// OpenSSL's state at a block border; the caller frees it.
    private func begin(at block: UInt64) -> OpaquePointer? {
        let counterAndNonce = [block.littleEndian, 0]
        // SAFETY: the state is the caller's. The key has the 32 bytes that OpenSSL reads; counter
        // and nonce are 16 together.
        let state = unsafe EVP_CIPHER_CTX_new()
        let result = unsafe counterAndNonce.withUnsafeBytes {
            unsafe EVP_EncryptInit_ex2(
                state, Self.algorithm, streamKey,
                $0.assumingMemoryBound(to: UInt8.self).baseAddress, nil)
        }
        // It fails only where there is no memory left.
        precondition(result == 1)
        return unsafe state
    }

    /// Runs the next `count` bytes through a state; both have that many.
    private func run(
        _ state: OpaquePointer?, from source: UnsafeRawPointer,
        into target: UnsafeMutableRawPointer, count: Int
    ) {
        var written: Int32 = 0
        // SAFETY: the caller passes memory of `count` bytes, never more than an `Int32` counts.
        let result = unsafe EVP_EncryptUpdate(
            state, target.assumingMemoryBound(to: UInt8.self), &written,
            source.assumingMemoryBound(to: UInt8.self), Int32(count))
        precondition(result == 1 && Int(written) == count)
    }
}
