package import PetalsCore

/// Sealing of blob descriptors.
package enum SealedDescriptor {
    private static let what = "a blob descriptor"

    /// Seals a descriptor and names the blob: its id is the SHA-256 of the sealed bytes.
    ///
    /// The same file published twice in the open gives the same bytes.
    package static func seal(
        _ descriptor: BlobDescriptor, relayKey: SecretKey
    ) -> (bytes: [UInt8], id: BlobID) {
        let bytes = DocumentSeal.seal(
            descriptor.serialized(), key: KeyDerivation.documentKey(relayKey))
        return (bytes, sha256(bytes))
    }

    /// Opens what a peer or a disk gave for the blob `id`.
    ///
    /// - Throws: `PetalsError.limitExceeded` where it is too large, `.corrupt` where it is not the
    ///   blob's descriptor or does not open, and what `BlobDescriptor(parsing:)` throws.
    package static func open(
        _ bytes: [UInt8], relayKey: SecretKey, expecting id: BlobID
    ) throws(PetalsError) -> BlobDescriptor {
        try requireDigest(id, of: bytes, what: what, bytesMax: Limits.descriptorBytesMax)
        let plain = try DocumentSeal.open(
            bytes, key: KeyDerivation.documentKey(relayKey), what: what)
        return try BlobDescriptor(parsing: plain)
    }
}

/// Throws unless `bytes` are not too many and have the SHA-256 by which they were asked for.
func requireDigest(
    _ digest: Digest, of bytes: [UInt8], what: String, bytesMax: Int
) throws(PetalsError) {
    guard bytes.count <= bytesMax else {
        throw PetalsError(
            .limitExceeded, "\(what) has \(bytes.count) bytes, more than the limit of \(bytesMax)")
    }
    guard sha256(bytes) == digest else {
        throw PetalsError(
            .corrupt,
            "\(what) is not the one named \(digest.short): its SHA-256 differs; fetch it again")
    }
}
