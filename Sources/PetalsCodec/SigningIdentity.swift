internal import Crypto
internal import Foundation
package import PetalsCore

/// A key pair that signs: Ed25519 (RFC 8032).
package struct SigningIdentity: StatementSigner, Sendable, CustomStringConvertible,
    CustomReflectable
{
    /// Bytes of a seed.
    package static let seedBytes = 32

    private let key: Curve25519.Signing.PrivateKey
    /// The 32 bytes by which others check signatures.
    package let publicKey: [UInt8]

    /// A fresh identity.
    package init() {
        key = Curve25519.Signing.PrivateKey()
        publicKey = Array(key.publicKey.rawRepresentation)
    }

    /// The identity of a stored seed.
    ///
    /// - Throws: `PetalsError.corrupt` where it has not 32 bytes.
    package init(seed: [UInt8]) throws(PetalsError) {
        do {
            key = try Curve25519.Signing.PrivateKey(rawRepresentation: seed)
        } catch {
            throw PetalsError(
                .corrupt,
                "the identity's seed has \(seed.count) bytes instead of \(Self.seedBytes); restore "
                    + "it from a copy, or remove it to become a new peer")
        }
        publicKey = Array(key.publicKey.rawRepresentation)
    }

    /// The 32 bytes that the identity can be made from again.
    ///
    /// Secret.
    package var seed: [UInt8] { Array(key.rawRepresentation) }

    /// SHA-256 of the public key: the name of this peer.
    package var peerID: PeerID { sha256(publicKey) }

    /// Signs a message; the same message gives the same 64 bytes.
    package func sign(_ message: [UInt8]) -> [UInt8] {
        do {
            return Array(try key.signature(for: message))
        } catch {
            // Signing with a key in memory has nothing that can fail but memory itself.
            preconditionFailure("Ed25519 did not sign: \(error)")
        }
    }

    /// Whether `signature` over `message` was made by the holder of `publicKey`; false also for
    /// keys and signatures of a wrong length.
    package static func verify(
        signature: [UInt8], message: [UInt8], publicKey: [UInt8]
    ) -> Bool {
        guard publicKey.count == 32, signature.count == 64,
            // What is no point on the curve has signed nothing; the reason does not matter.
            let key = try? Curve25519.Signing.PublicKey(rawRepresentation: publicKey)
        else { return false }
        return key.isValidSignature(signature, for: message)
    }

    /// The public half only: keys stay out of logs.
    package var description: String { "identity \(peerID.short)" }

    package var customMirror: Mirror { Mirror(self, children: []) }
}

/// Says whose Ed25519 signature something is: a peer's id is the SHA-256 of its public key.
package struct Ed25519Verifier: SignatureVerifier {
    package init() {}

    /// The SHA-256 of the key where the signature is its.
    package func signer(
        of message: [UInt8], signature: [UInt8], publicKey: [UInt8]
    ) -> PeerID? {
        SigningIdentity.verify(signature: signature, message: message, publicKey: publicKey)
            ? sha256(publicKey) : nil
    }
}
