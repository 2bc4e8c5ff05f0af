internal import CSodium
package import PetalsCore

/// Sealing of documents: XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha) under a zero nonce.
///
/// A key seals exactly one document: it is derived from what is in the document, or from a key that
/// was drawn for this publication. A sealed document is the ciphertext followed by its 16-byte tag.
package enum DocumentSeal {
    /// Bytes that sealing adds.
    package static let overhead = 16

    private static let nonce = [UInt8](repeating: 0, count: 24)

    /// Seals a document under a key that seals nothing else.
    package static func seal(_ document: [UInt8], key: SecretKey) -> [UInt8] {
        _ = Sodium.started
        let capacity = document.count + overhead
        // SAFETY: the output has room for document and tag; nonce and key have the 24 and 32 bytes
        // that libsodium reads; there is no associated data.
        return unsafe [UInt8](unsafeUninitializedCapacity: capacity) { output, count in
            guard let target = output.baseAddress else { return }
            let result = unsafe crypto_aead_xchacha20poly1305_ietf_encrypt(
                target, nil, document, UInt64(document.count), nil, 0, nil, nonce,
                key.bytes)
            precondition(result == 0)
            count = capacity
        }
    }

    /// Opens a sealed document.
    ///
    /// - Parameter what: what it is, for the error: "a blob descriptor".
    /// - Throws: `PetalsError.corrupt` where the key does not fit or a bit was changed.
    package static func open(
        _ sealed: [UInt8], key: SecretKey, what: String = "a sealed document"
    ) throws(PetalsError) -> [UInt8] {
        _ = Sodium.started
        guard sealed.count >= overhead else {
            throw PetalsError(
                .corrupt, "\(what) is cut off after \(sealed.count) bytes; fetch it again")
        }
        let capacity = sealed.count - overhead
        var opened = false
        // SAFETY: the output has room for what is left without the tag; nonce and key have the 24
        // and 32 bytes that libsodium reads; there is no associated data.
        let document = unsafe [UInt8](unsafeUninitializedCapacity: capacity) { output, count in
            let result = unsafe crypto_aead_xchacha20poly1305_ietf_decrypt(
                output.baseAddress, nil, nil, sealed, UInt64(sealed.count), nil, 0, nonce, key.bytes
            )
            opened = result == 0
            count = opened ? capacity : 0
        }
        guard opened else {
            throw PetalsError(
                .corrupt,
                "\(what) cannot be opened: its key does not fit, or it was changed; "
                    + "check the link, and fetch it again")
        }
        return document
    }
}
