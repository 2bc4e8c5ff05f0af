package import PetalsCore

/// Sealing of manifests: sign, seal the inner part for readers, seal the outer part for holders.
package enum ManifestSealing {
    /// A manifest ready to travel.
    package struct Sealed: Sendable {
        /// The serialized `SealedManifest`.
        package let bytes: [UInt8]
        /// SHA-256 of `bytes`.
        package let id: ManifestID
        package let readKey: SecretKey

        /// The link for whoever may read the model.
        package func link(name: String? = nil, peers: [String] = []) -> ModelLink {
            ModelLink(capability: .read(readKey), manifestID: id, name: name, peers: peers)
        }

        /// The relay cap for whoever may hold it.
        package func relayCap(name: String? = nil, peers: [String] = []) -> ModelLink {
            ModelLink(
                capability: .relay(KeyDerivation.relayKey(of: readKey)), manifestID: id,
                name: name, peers: peers)
        }
    }

    /// A manifest as a reader opens it.
    package struct Opened: Sendable {
        package let manifest: ModelManifest
        /// The Ed25519 public key of whoever signed it.
        package let publisher: [UInt8]
        package let outer: ManifestOuter
    }

    // MARK: Seal

    /// Signs and seals a manifest.
    ///
    /// - Parameter readKey: nil for a public model, whose key is derived from its signed content;
    ///   for a private one a key fresh from `SecretKey.random()` that seals no other manifest.
    /// - Throws: `PetalsError` where the manifest breaks a rule or a limit; nothing that a reader
    ///   would refuse is ever published.
    package static func seal(
        _ manifest: ModelManifest, signer: SigningIdentity, readKey: SecretKey? = nil
    ) throws(PetalsError) -> Sealed {
        try manifest.validate()
        let body = manifest.serialized()
        let signedInner = SignedInner(
            body: body, publisher: signer.publicKey,
            signature: signer.sign(SignedInner.domain + body)
        ).serialized()
        let readKey = readKey ?? KeyDerivation.modelReadKey(publicBody: signedInner)
        let inner = DocumentSeal.seal(signedInner, key: KeyDerivation.innerKey(readKey))
        let outer = ManifestOuter(grants: grants(of: manifest), innerDigest: sha256(inner))
        let relayKey = KeyDerivation.relayKey(of: readKey)
        let bytes = SealedManifest(
            outer: DocumentSeal.seal(outer.serialized(), key: KeyDerivation.outerKey(relayKey)),
            inner: inner
        ).serialized()
        guard bytes.count <= Limits.manifestBytesMax else {
            throw PetalsError(
                .limitExceeded,
                "the manifest of “\(manifest.name)” has \(bytes.count) bytes, more than the limit "
                    + "of \(Limits.manifestBytesMax); publish the folder in parts")
        }
        return Sealed(bytes: bytes, id: sha256(bytes), readKey: readKey)
    }

    /// The right to hold each blob of a manifest, once, in the order of its files.
    package static func grants(of manifest: ModelManifest) -> [BlobGrant] {
        var seen: Set<BlobID> = []
        return manifest.entries.compactMap { entry in
            guard case .record(let record) = entry.content, seen.insert(record.blobID).inserted
            else { return nil }
            return BlobGrant(
                blobID: record.blobID, relayKey: KeyDerivation.relayKey(of: record.blobKey))
        }
    }

    // MARK: Open

    /// Opens the outer part, as a holder does.
    ///
    /// - Throws: `PetalsError` where the bytes are not the manifest `id`, do not open under the
    ///   key, do not parse, or carry another inner part than the outer part names.
    package static func openOuter(
        _ bytes: [UInt8], relayKey: SecretKey, id: ManifestID
    ) throws(PetalsError) -> ManifestOuter {
        try open(bytes, relayKey: relayKey, id: id).outer
    }

    /// Opens both parts, as a reader does, and checks the signature and that every file's blob is
    /// granted to holders.
    ///
    /// - Throws: `PetalsError` as `openOuter`, and where the signature does not fit or a file's
    ///   blob is missing from the outer part.
    package static func openInner(
        _ bytes: [UInt8], readKey: SecretKey, id: ManifestID
    ) throws(PetalsError) -> Opened {
        let (outer, inner) = try open(
            bytes, relayKey: KeyDerivation.relayKey(of: readKey), id: id)
        let signed = try SignedInner(
            parsing: DocumentSeal.open(
                inner, key: KeyDerivation.innerKey(readKey), what: "a manifest's inner part"))
        guard
            SigningIdentity.verify(
                signature: signed.signature, message: SignedInner.domain + signed.body,
                publicKey: signed.publisher)
        else {
            throw PetalsError(
                .corrupt,
                "the manifest \(id.short) does not carry its publisher's signature; ask whoever "
                    + "gave you the link for a new one")
        }
        let manifest = try ModelManifest(parsing: signed.body)
        let granted = Set(outer.grants)
        for grant in grants(ofEvery: manifest) where !granted.contains(grant) {
            throw PetalsError(
                .corrupt,
                "the manifest \(id.short) does not let holders keep the blob "
                    + "\(grant.blobID.short) that one of its files needs; it was made wrongly")
        }
        return Opened(manifest: manifest, publisher: signed.publisher, outer: outer)
    }

    /// The grants that the files need, one a file: two files that name one blob with different keys
    /// are both checked.
    private static func grants(ofEvery manifest: ModelManifest) -> [BlobGrant] {
        manifest.entries.compactMap { entry in
            guard case .record(let record) = entry.content else { return nil }
            return BlobGrant(
                blobID: record.blobID, relayKey: KeyDerivation.relayKey(of: record.blobKey))
        }
    }

    /// The outer part, opened, and the inner part, still sealed but proved to belong to it.
    private static func open(
        _ bytes: [UInt8], relayKey: SecretKey, id: ManifestID
    ) throws(PetalsError) -> (outer: ManifestOuter, inner: [UInt8]) {
        try requireDigest(id, of: bytes, what: "a manifest", bytesMax: Limits.manifestBytesMax)
        let sealed = try SealedManifest(parsing: bytes)
        let outer = try ManifestOuter(
            parsing: DocumentSeal.open(
                sealed.outer, key: KeyDerivation.outerKey(relayKey), what: "a manifest's outer part"
            ))
        guard sha256(sealed.inner) == outer.innerDigest else {
            throw PetalsError(
                .corrupt,
                "the two parts of the manifest \(id.short) do not belong together; it was made "
                    + "wrongly")
        }
        return (outer, sealed.inner)
    }
}
