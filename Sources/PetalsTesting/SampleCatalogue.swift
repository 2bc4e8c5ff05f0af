package import PetalsCodec
package import PetalsCore

/// A catalogue of a test, and the keys to go on with it.
package struct SampleCatalogue: Sendable {
    /// The owner's key pair.
    package let owner: SigningIdentity
    /// Its records so far.
    package var log = CatalogueLog()
    /// Of the heads that are signed next.
    package var issue = 0

    /// The catalogue's name.
    package var id: CatalogueID {
        guard let id = Digest(owner.publicKey) else { preconditionFailure("a key has 32 bytes") }
        return id
    }

    /// A moment at which everything here is signed, in seconds since 1970.
    package static let now = 1_790_000_000

    /// A catalogue with a title; the same for each seed.
    package init(seed: UInt8 = 1, title: String = "Models") throws {
        owner = try SigningIdentity(seed: Array(repeating: seed, count: 32))
        try log.append(.title(title))
    }

    /// An entry of a single file that nobody has; another version for each number.
    package static func entry(
        _ name: String, version: UInt8 = 1, size: Int = 70_000
    ) throws -> CatalogueEntry {
        guard let key = SecretKey(Array(repeating: version, count: 32)) else {
            throw PetalsError(.badInput, "a key has 32 bytes")
        }
        var metadata = ModelMetadata()
        metadata.version = "\(version)"
        metadata.license = "CC0-1.0"
        return CatalogueEntry(
            name: name, manifestID: sha256(Array(name.utf8) + [version]),
            capability: .read(key), isSingleFile: true, size: size,
            sha256: sha256([version]), metadata: metadata, addedAt: now)
    }

    /// Adds a record.
    package mutating func add(_ record: CatalogueRecord) throws { try log.append(record) }

    /// The head of the records so far, signed by the owner or a delegate.
    package func head(
        signer: SigningIdentity? = nil, delegation: SignedDelegation? = nil,
        now: Int = SampleCatalogue.now
    ) -> SignedHead {
        CatalogueSigning.sign(
            log, owner: id, signer: signer ?? owner, delegation: delegation, issue: issue,
            now: now)
    }

    /// The same, checked.
    package func checkedHead(
        now: Int = SampleCatalogue.now
    ) throws -> CatalogueSigning.CheckedHead {
        try CatalogueSigning.check(head(now: now), of: id, now: now)
    }

    /// Lets another key sign.
    package func delegation(
        to delegate: SigningIdentity, issue: Int, from begin: Int = SampleCatalogue.now,
        until end: Int = SampleCatalogue.now + 90 * 86_400
    ) throws -> SignedDelegation {
        guard let key = Digest(delegate.publicKey) else {
            throw PetalsError(.badInput, "a key has 32 bytes")
        }
        return CatalogueSigning.delegate(
            CatalogueDelegation(
                owner: id, delegate: key, issue: issue, notBefore: begin, expiresAt: end),
            owner: owner)
    }
}
