package import PetalsCore

/// Signing and checking of catalogues.
///
/// The checks are pure: what is known and what time it is are arguments. Whoever holds a
/// `CheckedHead` knows that its catalogue's owner stands behind it; there is no other way to get
/// one.
package enum CatalogueSigning {
    /// Seconds by which the clocks of two nodes may differ.
    package static let clockDifferenceMax = 3600

    // MARK: Sign

    /// Signs the head of a log.
    ///
    /// - Parameters:
    ///   - owner: the catalogue.
    ///   - signer: the owner, or the delegate that `delegation` names.
    ///   - issue: at least that of every head before; with a delegation, that of the delegation.
    package static func sign(
        _ log: CatalogueLog, owner: CatalogueID, signer: SigningIdentity,
        delegation: SignedDelegation? = nil, issue: Int, now: Int
    ) -> SignedHead {
        let bytes = log.serialized()
        let head = CatalogueHead(
            owner: owner, issue: issue, sequence: log.records.count,
            root: root(of: log.records[...]), logDigest: sha256(bytes), logBytes: bytes.count,
            createdAt: now)
        var signed = SignedHead(
            head: head, signature: signer.sign(CatalogueHead.domain + head.serialized()),
            delegation: delegation, itemSignature: [])
        signed.itemSignature = signer.sign(CatalogueItem.head(signed).signedBytes)
        return signed
    }

    /// Lets another key sign until a day.
    package static func delegate(
        _ delegation: CatalogueDelegation, owner: SigningIdentity
    ) -> SignedDelegation {
        var signed = SignedDelegation(
            delegation: delegation,
            signature: owner.sign(CatalogueDelegation.domain + delegation.serialized()),
            itemSignature: [])
        signed.itemSignature = owner.sign(CatalogueItem.delegation(signed).signedBytes)
        return signed
    }

    // MARK: Check

    /// A head that the catalogue's owner stands behind, at the time of the check.
    package struct CheckedHead: Hashable, Sendable {
        /// As it was signed; an item signature in it is a right one.
        package let signed: SignedHead
        /// What it says.
        package var head: CatalogueHead { signed.head }

        fileprivate init(_ signed: SignedHead) { self.signed = signed }
    }

    /// Checks a head by itself: whose it is, who signed, and whether he might.
    ///
    /// - Throws: `PetalsError.corrupt` where it is forged or of another catalogue, `.badInput`
    ///   where a delegation has ended or not begun, or where the head is from the future.
    package static func check(
        _ signed: SignedHead, of id: CatalogueID, now: Int
    ) throws(PetalsError) -> CheckedHead {
        guard signed.head.owner == id else {
            throw PetalsError(.corrupt, "it is the head of another catalogue")
        }
        if let delegation = signed.delegation {
            try check(delegation, of: id, now: now)
            guard delegation.delegation.issue == signed.head.issue else {
                throw PetalsError(.corrupt, "its delegation is of another issue than the head")
            }
            guard
                signed.head.createdAt <= delegation.delegation.expiresAt + clockDifferenceMax
            else {
                throw PetalsError(.badInput, "it was signed after its delegation had expired")
            }
        }
        guard
            SigningIdentity.verify(
                signature: signed.signature, message: CatalogueHead.domain + signed.body,
                publicKey: signed.signer.bytes)
        else {
            throw PetalsError(
                .corrupt,
                signed.delegation == nil
                    ? "it is forged: the catalogue's owner did not sign it"
                    : "it is forged: the delegate of the catalogue's owner did not sign it")
        }
        guard signed.head.createdAt <= now + clockDifferenceMax else {
            throw PetalsError(
                .badInput, "it is signed at a time that has not come; check this machine's clock")
        }
        var sound = signed
        if !hasSoundItem(.head(signed)) { sound.itemSignature = [] }
        return CheckedHead(sound)
    }

    /// Checks a delegation.
    ///
    /// - Throws: as `check` of a head.
    package static func check(
        _ signed: SignedDelegation, of id: CatalogueID, now: Int
    ) throws(PetalsError) {
        let delegation = signed.delegation
        guard delegation.owner == id,
            SigningIdentity.verify(
                signature: signed.signature, message: CatalogueDelegation.domain + signed.body,
                publicKey: id.bytes)
        else {
            throw PetalsError(
                .corrupt, "its delegation is forged: the catalogue's owner did not sign it")
        }
        guard delegation.notBefore <= delegation.expiresAt else {
            throw PetalsError(.corrupt, "its delegation ends before it begins")
        }
        guard delegation.notBefore <= now + clockDifferenceMax else {
            throw PetalsError(
                .badInput, "its delegation has not begun yet; check this machine's clock")
        }
        guard now <= delegation.expiresAt + clockDifferenceMax else {
            throw PetalsError(
                .badInput,
                "its delegation has expired; the catalogue's owner has to sign a new one")
        }
    }

    /// Whether the item that carries this has a right signature.
    package static func hasSoundItem(_ content: CatalogueItem) -> Bool {
        guard let item = content.item else { return false }
        return SigningIdentity.verify(
            signature: item.signature, message: content.signedBytes, publicKey: item.key)
    }

    // MARK: Judge

    /// What a checked head means to who knows another.
    package enum Verdict: Hashable, Sendable {
        /// What is known.
        case known
        /// It counts more: its log is wanted.
        case newer
        /// It counts less, and changes nothing.
        case older
        /// Two heads of one sequence, and two stories.
        case equivocation
    }

    /// Compares a head with the highest that is known.
    package static func judge(_ offered: CheckedHead, knowing known: CheckedHead?) -> Verdict {
        guard let known else { return .newer }
        if offered.head.isNewer(than: known.head) { return .newer }
        if known.head.isNewer(than: offered.head) { return .older }
        return offered.head.root == known.head.root ? .known : .equivocation
    }

    /// Checks a log against its head, and that it only adds to what is known.
    ///
    /// - Returns: the log, and whether it tells another story than the known head. Under the
    ///   known head's issue that is equivocation; a higher issue may begin anew.
    /// - Throws: `PetalsError.corrupt` where it is not the log that the head names.
    package static func check(
        log bytes: [UInt8], of checked: CheckedHead, knowing known: CheckedHead?
    ) throws(PetalsError) -> (log: CatalogueLog, extends: Bool) {
        let head = checked.head
        guard bytes.count == head.logBytes, sha256(bytes) == head.logDigest else {
            throw PetalsError(.corrupt, "its log is not the one that its head names")
        }
        let log = try CatalogueLog(parsing: bytes)
        guard log.records.count == head.sequence, root(of: log.records[...]) == head.root else {
            throw PetalsError(.corrupt, "its head does not fit its log; it was made wrongly")
        }
        guard let known = known?.head else { return (log, true) }
        let former = log.records.prefix(known.sequence)
        return (log, former.count == known.sequence && root(of: former) == known.root)
    }

    /// A head that was checked when it was kept, as a node reads it back from its own disk.
    ///
    /// The signatures are checked again; whether a delegation has expired since is not, since what
    /// was accepted stays.
    ///
    /// - Throws: `PetalsError.corrupt` where it is not what was kept.
    package static func restore(
        _ bytes: [UInt8], of id: CatalogueID
    ) throws(PetalsError) -> CheckedHead {
        let signed = try SignedHead(parsing: bytes)
        var then = signed.head.createdAt
        if let delegation = signed.delegation?.delegation {
            then = max(min(then, delegation.expiresAt), delegation.notBefore)
        }
        return try check(signed, of: id, now: then)
    }

    private static func root(of records: ArraySlice<[UInt8]>) -> Digest {
        // SAFETY: a `UInt8` has no padding.
        HashTree.root(ofLeafHashes: records.map { unsafe HashTree.leafHash($0.span.bytes) })
    }
}
