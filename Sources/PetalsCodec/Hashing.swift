internal import Crypto
package import PetalsCore

/// The SHA-256 of `bytes` (FIPS 180-4).
package func sha256(_ bytes: RawSpan) -> PetalsCore.Digest {
    var hasher = StreamingSHA256()
    hasher.update(bytes)
    return hasher.finalize()
}

/// The SHA-256 of `bytes` (FIPS 180-4).
package func sha256(_ bytes: [UInt8]) -> PetalsCore.Digest {
    // SAFETY: a `UInt8` has no padding.
    unsafe sha256(bytes.span.bytes)
}

/// A SHA-256 over bytes that arrive in pieces.
///
/// A copy goes on by itself from where it was copied.
package struct StreamingSHA256: Sendable {
    private var hasher = SHA256()

    package init() {}

    /// Adds `bytes` to what was hashed so far.
    package mutating func update(_ bytes: RawSpan) {
        // SAFETY: the pointer is used within the closure only, and only read.
        unsafe bytes.withUnsafeBytes { unsafe hasher.update(bufferPointer: $0) }
    }

    /// Adds `bytes` to what was hashed so far.
    package mutating func update(_ bytes: [UInt8]) {
        // SAFETY: a `UInt8` has no padding.
        unsafe update(bytes.span.bytes)
    }

    /// The digest of all bytes so far; more may follow.
    package func finalize() -> PetalsCore.Digest {
        // SAFETY: the span does not outlive the closure; the digest is copied out of it.
        let digest = unsafe hasher.finalize().withUnsafeBytes {
            unsafe PetalsCore.Digest($0.bytes)
        }
        guard let digest else { preconditionFailure("a SHA-256 has 32 bytes") }
        return digest
    }
}

extension PetalsCore.Digest {
    /// Writes the 32 bytes to the start of `target`, without the array that `bytes` makes.
    func write(to target: UnsafeMutableRawBufferPointer) {
        precondition(target.count >= Self.byteCount)
        // SAFETY: a digest is four words (its only initialiser from words says so) and the target
        // has room for them.
        unsafe withUnsafeBytes(of: self) { words in
            for offset in stride(from: 0, to: Self.byteCount, by: 8) {
                let word = unsafe words.load(fromByteOffset: offset, as: UInt64.self)
                unsafe target.storeBytes(of: word.bigEndian, toByteOffset: offset, as: UInt64.self)
            }
        }
    }
}
