/// Something that one node says and stands for with its signature.
package protocol CreditStatement: Hashable, Sendable {
    /// Who has to have signed it.
    var signer: PeerID { get }
    /// What is signed: a domain of its own kind, and every field at a fixed width, so that no two
    /// statements have the same bytes.
    var signedBytes: [UInt8] { get }
}

/// A key that signs statements.
package protocol StatementSigner {
    /// The bytes by which others check its signatures; their digest is the signer's peer id.
    var publicKey: [UInt8] { get }
    /// 64 bytes.
    func sign(_ message: [UInt8]) -> [UInt8]
}

/// Says whose signature something is.
///
/// The program has one, `Ed25519Verifier`; a simulation may have a cheaper one.
package protocol SignatureVerifier {
    /// The peer whose key signed the message; nil where the signature is not that key's.
    func signer(of message: [UInt8], signature: [UInt8], publicKey: [UInt8]) -> PeerID?
}

/// A statement with its signature, as it travels: nothing says yet that it is right.
package struct Signed<Statement: CreditStatement>: Hashable, Sendable {
    package let statement: Statement
    /// 32 bytes; by the peer's id it is known whether it is the right one.
    package let publicKey: [UInt8]
    /// 64 bytes.
    package let signature: [UInt8]

    package init(_ statement: Statement, publicKey: [UInt8], signature: [UInt8]) {
        self.statement = statement
        self.publicKey = publicKey
        self.signature = signature
    }

    /// Signs a statement.
    package init(_ statement: Statement, by signer: some StatementSigner) {
        self.init(
            statement, publicKey: signer.publicKey, signature: signer.sign(statement.signedBytes))
    }
}

/// A statement whose signature was checked and is that of the peer that it speaks for.
///
/// There is no other way to get one, so a ledger that takes these cannot forget to check.
package struct Verified<Statement: CreditStatement>: Hashable, Sendable {
    /// As it came, to be kept as evidence.
    package let signed: Signed<Statement>
    /// What it says.
    package var statement: Statement { signed.statement }

    /// Checks a statement.
    ///
    /// - Throws: `PetalsError.corrupt` where another has signed it, or nobody.
    package init(
        _ signed: Signed<Statement>, by verifier: some SignatureVerifier
    ) throws(PetalsError) {
        let signer = verifier.signer(
            of: signed.statement.signedBytes, signature: signed.signature,
            publicKey: signed.publicKey)
        guard signer == signed.statement.signer else {
            throw PetalsError(
                .corrupt,
                "a credit statement of peer \(signed.statement.signer.label) is forged: that peer "
                    + "did not sign it")
        }
        self.signed = signed
    }
}

/// A receipt with its signature.
package typealias SignedReceipt = Signed<Receipt>
/// A receipt that its debtor signed.
package typealias VerifiedReceipt = Verified<Receipt>
/// An assignment with its signature.
package typealias SignedAssignment = Signed<Assignment>
/// An assignment that the peer that gives the claim away signed.
package typealias VerifiedAssignment = Verified<Assignment>
/// An answer to an assignment with its signature.
package typealias SignedAssignmentReply = Signed<AssignmentReply>
/// An answer to an assignment that the debtor signed.
package typealias VerifiedAssignmentReply = Verified<AssignmentReply>

/// Puts the fields of a statement side by side, numbers big-endian.
struct StatementBytes {
    private(set) var bytes: [UInt8]

    init(domain: String, network: Digest, _ peers: PeerID...) {
        bytes = Array(domain.utf8) + Digest.packed([network] + peers)
    }

    /// 8 bytes; the fields of a statement are never negative.
    mutating func append(_ value: Int) { append(UInt64(clamping: value)) }

    /// 4 bytes.
    mutating func append(_ value: UInt32) {
        for shift in stride(from: 24, through: 0, by: -8) {
            bytes.append(UInt8(truncatingIfNeeded: value >> UInt32(shift)))
        }
    }

    private mutating func append(_ value: UInt64) {
        append(UInt32(truncatingIfNeeded: value >> 32))
        append(UInt32(truncatingIfNeeded: value))
    }
}
