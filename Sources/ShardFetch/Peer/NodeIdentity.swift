internal import Crypto
internal import Foundation
internal import NIOSSL
package import PetalsCodec
package import PetalsCore
internal import SwiftASN1
internal import X509

/// Who this node is: one Ed25519 key, the certificate that carries it, and the TLS settings of both
/// ends of a connection.
///
/// TLS 1.3 only, one self-signed certificate on each side, ALPN `petals/1`, no server name, no
/// tickets taken, no early data. What a certificate says beyond its key is ignored: a peer is its
/// key.
package struct NodeIdentity: Sendable {
    /// The key that signs manifests and proves who this node is.
    package let signing: SigningIdentity
    /// SHA-256 of the public key.
    package var peerID: PeerID { signing.peerID }

    let serverContext: NIOSSLContext
    let clientContext: NIOSSLContext

    /// The protocol's name in TLS (RFC 7301).
    static let applicationProtocol = "petals/1"

    /// Builds the identity of a state folder's seed.
    ///
    /// - Parameter seed: 32 secret bytes.
    /// - Throws: `PetalsError.corrupt` where the seed is no key.
    package init(seed: [UInt8]) throws(PetalsError) {
        do {
            signing = try SigningIdentity(seed: seed)
            let key = try Curve25519.Signing.PrivateKey(rawRepresentation: seed)
            let chain: [NIOSSLCertificateSource] = [
                .certificate(try Self.certificate(of: key))
            ]
            let pem = try Certificate.PrivateKey(key).serializeAsPEM().pemString
            let privateKey = NIOSSLPrivateKeySource.privateKey(
                try NIOSSLPrivateKey(bytes: Array(pem.utf8), format: .pem))
            serverContext = try NIOSSLContext(
                configuration: Self.settings(
                    .makeServerConfiguration(certificateChain: chain, privateKey: privateKey)))
            var client = TLSConfiguration.makeClientConfiguration()
            client.certificateChain = chain
            client.privateKey = privateKey
            clientContext = try NIOSSLContext(configuration: Self.settings(client))
        } catch {
            throw PetalsError(
                .corrupt, "this node's identity key cannot be used (\(error)); restore identity.key"
            )
        }
    }

    /// The settings that both ends share.
    private static func settings(_ base: TLSConfiguration) -> TLSConfiguration {
        var configuration = base
        // NIOSSL's default minimum is TLS 1.0.
        configuration.minimumTLSVersion = .tlsv13
        configuration.applicationProtocols = [applicationProtocol]
        // Without both lists an Ed25519 handshake fails silently.
        configuration.signingSignatureAlgorithms = [.ed25519]
        configuration.verifySignatureAlgorithms = [.ed25519]
        // On a server this, and not the custom callback, is what requires a client's certificate.
        configuration.certificateVerification = .noHostnameVerification
        return configuration
    }

    /// A self-signed certificate that says nothing but the key.
    private static func certificate(
        of key: Curve25519.Signing.PrivateKey
    ) throws -> NIOSSLCertificate {
        let issuer = Certificate.PrivateKey(key)
        let name = try DistinguishedName { CommonName("petals") }
        // A day back for clocks that differ; the node makes a new certificate at every start.
        let certificate = try Certificate(
            version: .v3, serialNumber: .init(), publicKey: issuer.publicKey,
            notValidBefore: Date(timeIntervalSinceNow: -86_400),
            notValidAfter: Date(timeIntervalSinceNow: 10 * 365 * 86_400),
            issuer: name, subject: name, signatureAlgorithm: .ed25519,
            extensions: Certificate.Extensions(), issuerPrivateKey: issuer)
        var serializer = DER.Serializer()
        try serializer.serialize(certificate)
        return try NIOSSLCertificate(bytes: serializer.serializedBytes, format: .der)
    }

    /// Checks the certificates that a peer showed; this replaces all of TLS's own checks.
    ///
    /// TLS itself proves that the peer has the certificate's key. Exactly one certificate, small,
    /// valid now, and Ed25519.
    ///
    /// - Throws: `PetalsError.protocolViolation` saying what is wrong.
    func verifyPeer(_ chain: [NIOSSLCertificate]) throws(PetalsError) -> PeerID {
        guard chain.count == 1, let shown = chain.first else {
            throw PetalsError(
                .protocolViolation, "the peer showed \(chain.count) certificates instead of one")
        }
        let publicKey: [UInt8]
        let validity: Range<Date>
        do {
            let bytes = try shown.toDERBytes()
            guard bytes.count <= Limits.certificateBytesMax else {
                throw PetalsError(.protocolViolation, "the peer's certificate is too large")
            }
            let certificate = try Certificate(derEncoded: bytes)
            guard let key = Curve25519.Signing.PublicKey(certificate.publicKey),
                certificate.notValidBefore < certificate.notValidAfter
            else { throw PetalsError(.protocolViolation, "the peer's key is not Ed25519") }
            publicKey = Array(key.rawRepresentation)
            validity = certificate.notValidBefore..<certificate.notValidAfter
        } catch {
            throw PetalsError(.protocolViolation, "the peer's certificate is unusable: \(error)")
        }
        guard validity.contains(Date()) else {
            throw PetalsError(.protocolViolation, "the peer's certificate is not valid now")
        }
        return sha256(publicKey)
    }
}
