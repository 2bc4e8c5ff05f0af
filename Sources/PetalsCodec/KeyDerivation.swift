internal import CSodium
package import PetalsCore

/// Every key and topic of the format, each from its own domain of BLAKE2b-256 (RFC 7693).
///
/// Where there is a secret, it is BLAKE2b's key and the message is the domain followed by the
/// parts. Where a key is derived from public content, there is no key and the message is the domain
/// followed by the content. Integers are little-endian.
package enum KeyDerivation {
    /// The key of a public file's blob: whoever has the file can derive it.
    ///
    /// The geometry takes part, so that a key never meets two different sealed streams.
    package static func blobKey(storedSHA256: Digest, geometry: BlobGeometry) -> SecretKey {
        key(
            derive(
                key: [], domain: "petalsfs blob key v1",
                parts: storedSHA256.bytes + littleEndian(UInt64(geometry.storedLength))
                    + littleEndian(UInt32(geometry.dataShards))
                    + littleEndian(UInt32(geometry.groupShards))
                    + littleEndian(UInt32(geometry.rowsPerGroup))))
    }

    /// The relay key of a model's read key or of a blob's key: enough to hold, not to read.
    package static func relayKey(of secret: SecretKey) -> SecretKey {
        key(derive(key: secret.bytes, domain: "petalsfs relay key v1"))
    }

    /// The key that seals a blob's descriptor, from the blob's relay key.
    package static func documentKey(_ relayKey: SecretKey) -> SecretKey {
        key(derive(key: relayKey.bytes, domain: "petalsfs descriptor v1"))
    }

    /// The key that seals a manifest's outer part, from the model's relay key.
    package static func outerKey(_ modelRelayKey: SecretKey) -> SecretKey {
        key(derive(key: modelRelayKey.bytes, domain: "petalsfs outer v1"))
    }

    /// The key that seals a manifest's inner part, from the model's read key.
    package static func innerKey(_ readKey: SecretKey) -> SecretKey {
        key(derive(key: readKey.bytes, domain: "petalsfs inner v1"))
    }

    /// The read key of a public model, from its serialized signed inner part.
    package static func modelReadKey(publicBody signedInner: [UInt8]) -> SecretKey {
        key(derive(key: [], domain: "petalsfs model key v1", parts: signedInner))
    }

    /// Where peers of a model or a blob meet on one UTC day, counted from 1970-01-01.
    ///
    /// The id takes part, since the key of a public file is no secret: whoever seals something else
    /// under it makes another blob, and must not appear among the holders of the right one.
    ///
    /// - Parameter id: the manifest id or the blob id that the relay key belongs to.
    package static func topic(_ relayKey: SecretKey, of id: Digest, day: UInt32) -> Topic {
        let bytes = derive(
            key: relayKey.bytes, domain: "petalsfs topic v1",
            parts: littleEndian(day) + id.bytes)
        guard let topic = Topic(bytes.prefix(Topic.byteCount)) else {
            preconditionFailure("a digest is longer than a topic")
        }
        return topic
    }

    /// Where whoever has, or looks for, a public file meets on one UTC day.
    ///
    /// There is no secret in it: whoever knows the SHA-256 of a file may look for it.
    package static func topic(ofFile sha256: Digest, day: UInt32) -> Topic {
        let bytes = derive(
            key: [], domain: "petalsfs file topic v1", parts: littleEndian(day) + sha256.bytes)
        guard let topic = Topic(bytes.prefix(Topic.byteCount)) else {
            preconditionFailure("a digest is longer than a topic")
        }
        return topic
    }

    /// Where the owner and the followers of a catalogue meet on one UTC day.
    package static func topic(ofCatalogue id: CatalogueID, day: UInt32) -> Topic {
        let bytes = derive(
            key: [], domain: "petalsfs catalogue topic v1", parts: littleEndian(day) + id.bytes)
        guard let topic = Topic(bytes.prefix(Topic.byteCount)) else {
            preconditionFailure("a digest is longer than a topic")
        }
        return topic
    }

    /// What stands for a topic in one announcement in the local network: 8 bytes, as a number.
    ///
    /// Whoever knows the topic recognises it; nobody else can tell whether two announcements are
    /// about the same.
    package static func announcementTag(_ topic: Topic, nonce: [UInt8]) -> UInt64 {
        derive(key: [], domain: "petalsfs announcement v1", parts: nonce + topic.bytes)
            .prefix(8).reduce(0) { $0 << 8 | UInt64($1) }
    }

    private static func key(_ bytes: [UInt8]) -> SecretKey {
        guard let key = SecretKey(bytes) else { preconditionFailure("a derived key has 32 bytes") }
        return key
    }

    /// BLAKE2b-256 of `domain` followed by `parts`, keyed unless `key` is empty.
    private static func derive(key: [UInt8], domain: String, parts: [UInt8] = []) -> [UInt8] {
        _ = Sodium.started
        let message = Array(domain.utf8) + parts
        // SAFETY: the output has the 32 bytes that are asked for; the arrays are as long as the
        // counts beside them, and an empty key is passed with length 0.
        return unsafe [UInt8](unsafeUninitializedCapacity: Digest.byteCount) { output, count in
            guard let target = output.baseAddress else { return }
            let result = unsafe crypto_generichash(
                target, Digest.byteCount, message, UInt64(message.count), key, key.count
            )
            // It fails for lengths outside of its range only, and these are constants inside it.
            precondition(result == 0)
            count = Digest.byteCount
        }
    }

    private static func littleEndian(_ value: some FixedWidthInteger) -> [UInt8] {
        stride(from: 0, to: value.bitWidth, by: 8).map {
            UInt8(truncatingIfNeeded: value >> $0)
        }
    }
}

extension FileRecord {
    /// Whether whoever has the file can derive the key of its blob, which then is no secret.
    ///
    /// - Parameter geometry: that of the blob which the record names.
    package func isPublic(in geometry: BlobGeometry) -> Bool {
        guard let storedSHA256 else { return false }
        return KeyDerivation.blobKey(storedSHA256: storedSHA256, geometry: geometry) == blobKey
    }
}

extension SecretKey {
    /// A fresh key from the system's generator.
    package static func random() -> SecretKey {
        _ = Sodium.started
        // SAFETY: the output has room for the 32 bytes that are asked for.
        let bytes = unsafe [UInt8](unsafeUninitializedCapacity: byteCount) { output, count in
            guard let target = output.baseAddress else { return }
            unsafe randombytes_buf(target, byteCount)
            count = byteCount
        }
        guard let key = SecretKey(bytes) else { preconditionFailure("a random key has 32 bytes") }
        return key
    }
}
