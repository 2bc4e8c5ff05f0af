package import PetalsCore

/// A signature scheme for simulations: a key is known by the peer id that it makes, and a signature
/// is a hash of key and message.
///
/// Whoever knows a public key could sign with it, so a forger of a simulation is one who does not
/// use this but makes bytes up; what is tested is that they are looked at, and that nothing is
/// taken that was signed by another.
package struct SimulatedSignature: StatementSigner, SignatureVerifier, Sendable {
    package let peer: PeerID

    package init(_ peer: PeerID) {
        self.peer = peer
    }

    /// The peer id itself.
    package var publicKey: [UInt8] { peer.bytes }

    /// A hash of key and message.
    package func sign(_ message: [UInt8]) -> [UInt8] { Self.hash(message, publicKey) }

    /// Whose signature it is; nil where it is not that key's.
    package func signer(
        of message: [UInt8], signature: [UInt8], publicKey: [UInt8]
    ) -> PeerID? {
        signature == Self.hash(message, publicKey) ? Digest(publicKey) : nil
    }

    /// FNV-1a over 8 bytes at a time.
    private static func hash(_ message: [UInt8], _ key: [UInt8]) -> [UInt8] {
        var state: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in message { state = (state ^ UInt64(byte)) &* 0x0100_0000_01b3 }
        for byte in key { state = (state ^ UInt64(byte)) &* 0x0100_0000_01b3 }
        return (0..<8).map { UInt8(truncatingIfNeeded: state >> UInt64(8 * $0)) }
    }
}

extension Receipt {
    /// The receipt as whoever owes would have signed it and the other would have checked it.
    package func verified() -> VerifiedReceipt? { Self.checked(self) }
}

extension CreditStatement {
    /// The statement signed by whoever it speaks for, and checked.
    package static func checked(_ statement: Self) -> Verified<Self>? {
        let signer = SimulatedSignature(statement.signer)
        // A statement that its own signer signed passes; anything else would be a fault here.
        return try? Verified(Signed(statement, by: signer), by: signer)
    }
}
