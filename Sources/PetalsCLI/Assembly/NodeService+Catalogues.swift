internal import Foundation
internal import Logging
internal import PetalsCodec
internal import PetalsCore
internal import PetalsStore
internal import ShardFetch
internal import Synchronization

// Catalogues on this node: creating and signing, following, and what is known of each.

extension NodeService {
    private var now: Int { Int(Date().timeIntervalSince1970) }

    /// Has what is followed shown, and shown anew whenever peers tell of something newer.
    func startCatalogues(with node: Node) throws(PetalsError) {
        for row in try store.registry.catalogues() { node.dial(Self.endpoints(row.peers)) }
        node.observeCatalogues { [weak self, weak node] _ in
            guard let self, let node else { return }
            do throws(PetalsError) {
                try library.reloadCatalogues()
            } catch {
                logger.error("what a catalogue lists is not shown: \(error.message)")
            }
            fetchListedAhead(with: node)
        }
        // News that came before somebody listened is in the registry.
        try library.reloadCatalogues()
    }

    /// Carries out a request about catalogues.
    func perform(_ request: CatalogueRequest) throws(PetalsError) -> ControlResult {
        switch request {
        case .create(let title, let ownerKey): .catalogue(try create(title, ownerKey))
        case .adopt(let delegation, let title): .catalogue(try adopt(delegation, title))
        case .add(let request): .catalogue(try add(request))
        case .withdraw(let catalogue, let name, let ownerKey):
            .catalogue(try withdraw(name, from: catalogue, ownerKey))
        case .follow(let link, let peers): .catalogue(try follow(link, peers: peers))
        case .unfollow(let catalogue): try unfollow(catalogue)
        case .show(let catalogue): .catalogue(try show(try find(catalogue)))
        case .list: .catalogues(try catalogueSummaries())
        case .signer: .text(Base32.encode(identity.signing.publicKey))
        }
    }

    /// Throws where a model is here because a catalogue lists it.
    func requireOwn(_ name: String) throws(PetalsError) {
        guard let listing = try library.entry(name).listing else { return }
        throw PetalsError(
            .badInput,
            "“\(name)” is listed by the catalogue “\(listing.title)”; `petalsfs catalog unfollow` "
                + "takes all of its models away, and `petalsfs evict \(name)` frees its space")
    }

    // MARK: Sign

    private func create(
        _ title: String, _ ownerKey: String?
    ) throws(PetalsError) -> CatalogueDetails {
        try CatalogueRecord.title(title).validate()
        let owner: SigningIdentity
        if let ownerKey {
            owner = try CatalogueKeys.require(ownerKey)
        } else {
            owner = SigningIdentity()
        }
        let id = owner.catalogueID
        guard try store.registry.catalogue(id)?.isOwn != true else {
            throw PetalsError(
                .badInput, "the catalogue of this key exists here; `petalsfs catalog ls` shows it")
        }
        try requireUnsigned(title, except: id)
        if ownerKey == nil {
            try CatalogueKeys.store(owner, at: CatalogueKeys.path(of: id, in: folder.path))
        }
        var row =
            try store.registry.catalogue(id)
            ?? CatalogueRow(id: id, name: title, addedAt: now)
        row.isOwn = true
        try store.registry.keep(row)
        return try append(.title(title), to: row, ownerKey)
    }

    /// Throws where this node signs another catalogue under a title: nobody could tell them apart.
    private func requireUnsigned(
        _ title: String, except id: CatalogueID
    ) throws(PetalsError) {
        let rows = try store.registry.catalogues().filter { $0.isOwn && $0.id != id }
        for row in rows where try self.title(of: row) == title {
            throw PetalsError(
                .badInput,
                "another catalogue with the title “\(ModelPath.printable(title))” is signed here; "
                    + "choose another title")
        }
    }

    private func adopt(
        _ text: String, _ title: String?
    ) throws(PetalsError) -> CatalogueDetails {
        let signed = try SignedDelegation(parsingText: text)
        let delegation = signed.delegation
        do throws(PetalsError) {
            try CatalogueSigning.check(signed, of: delegation.owner, now: now)
        } catch {
            throw PetalsError(error.code, "the delegation cannot be used: \(error.message)")
        }
        guard delegation.delegate.bytes == identity.signing.publicKey else {
            throw PetalsError(
                .badInput,
                "the delegation is for another node's key; give the owner what `petalsfs catalog "
                    + "signer` prints here")
        }
        var row =
            try store.registry.catalogue(delegation.owner)
            ?? CatalogueRow(
                id: delegation.owner, name: title ?? delegation.owner.short, addedAt: now)
        try requireNew(signed, in: row)
        guard title != nil || row.head != nil else {
            throw PetalsError(
                .badInput,
                "nothing of this catalogue is known here: follow it first and wait until it has "
                    + "come, or begin it with --title")
        }
        if let title { try requireUnsigned(title, except: row.id) }
        var log = try store.registry.catalogueLog(of: row.id) ?? CatalogueLog()
        let isKnown = row.isOwn && row.delegation == signed && row.head != nil
        // Adopted before: there is nothing to sign but another title.
        if isKnown, title == nil || title == log.title { return try show(row) }
        row.isOwn = true
        row.delegation = signed
        try store.registry.keep(row)
        if let title, log.title != title { try log.append(.title(title)) }
        return try sign(log, row, ownerKey: nil)
    }

    /// Throws where a delegation is older than the one that is known; the same again is none.
    private func requireNew(
        _ signed: SignedDelegation, in row: CatalogueRow
    ) throws(PetalsError) {
        let issue = signed.delegation.issue
        guard row.delegation != signed else { return }
        guard issue > row.delegation?.delegation.issue ?? -1, issue >= row.head?.head.issue ?? 0
        else {
            throw PetalsError(
                .badInput,
                "the owner has made another delegation, which counts in the place of this one; "
                    + "adopt that one, or have the owner make a new one for this node")
        }
    }

    private func add(
        _ request: CatalogueRequest.AddEntry
    ) throws(PetalsError) -> CatalogueDetails {
        let row = try find(request.catalogue)
        let model = try library.entry(request.model)
        guard let manifest = model.manifest, case .read(let key) = model.row.capability else {
            throw PetalsError(
                .badInput,
                "“\(request.model)” cannot be read here, so nothing can be said of it; add its "
                    + "link first")
        }
        guard model.row.check == nil else {
            throw PetalsError(
                .badInput,
                "“\(request.model)” was found by its SHA-256 and has no publisher; publish it to "
                    + "list it")
        }
        // A private model's records lack what makes its keys public.
        let isPrivate = model.records.contains { $0.storedSHA256 == nil }
        guard request.relayOnly || !isPrivate else {
            throw PetalsError(
                .badInput,
                "“\(request.model)” is private, and a catalogue is public: list it with "
                    + "--relay-only, so that others can hold and not read it, or publish it "
                    + "without --private")
        }
        var metadata = manifest.metadata
        for (field, text) in [
            (\ModelMetadata.version, request.version), (\.license, request.license),
            (\.parameters, request.parameters), (\.quantization, request.quantization),
            (\.origin, request.origin), (\.commit, request.commit),
        ] {
            if let text { metadata[keyPath: field] = text }
        }
        var entry = CatalogueEntry(
            name: request.name ?? manifest.name, manifest: manifest, id: model.row.manifestID,
            capability: request.relayOnly
                ? .relay(KeyDerivation.relayKey(of: key)) : .read(key),
            metadata: metadata, addedAt: now)
        // Of what nobody may read, nothing is said that a reader would know.
        if isPrivate { entry.sha256 = nil }
        return try append(.entry(entry), to: row, request.ownerKey)
    }

    private func withdraw(
        _ name: String, from catalogue: String, _ ownerKey: String?
    ) throws(PetalsError) -> CatalogueDetails {
        let row = try find(catalogue)
        guard try store.registry.catalogueLog(of: row.id)?.entry(named: name) != nil else {
            throw PetalsError(
                .notFound,
                "“\(ModelPath.printable(name))” is not listed by that catalogue; `petalsfs catalog "
                    + "show` prints what is")
        }
        return try append(.withdrawn(name), to: row, ownerKey)
    }

    private func append(
        _ record: CatalogueRecord, to row: CatalogueRow, _ ownerKey: String?
    ) throws(PetalsError) -> CatalogueDetails {
        var log = try store.registry.catalogueLog(of: row.id) ?? CatalogueLog()
        try log.append(record)
        return try sign(log, row, ownerKey: ownerKey)
    }

    /// Signs a log that adds to the known one, and tells everybody.
    private func sign(
        _ log: CatalogueLog, _ row: CatalogueRow, ownerKey: String?
    ) throws(PetalsError) -> CatalogueDetails {
        let known = row.head?.head.issue ?? 0
        let signed: SignedHead
        if let owner = try ownersKey(of: row, ownerKey) {
            signed = CatalogueSigning.sign(
                log, owner: row.id, signer: owner, issue: known, now: now)
        } else if let delegation = row.delegation {
            signed = CatalogueSigning.sign(
                log, owner: row.id, signer: identity.signing, delegation: delegation,
                issue: delegation.delegation.issue, now: now)
        } else {
            throw PetalsError(
                .badInput,
                "this node does not sign that catalogue; its owner's key is needed (--owner-key), "
                    + "or a delegation (`petalsfs catalog adopt`)")
        }
        let checked: CatalogueSigning.CheckedHead
        do throws(PetalsError) {
            checked = try CatalogueSigning.check(signed, of: row.id, now: now)
        } catch {
            throw PetalsError(error.code, "the catalogue cannot be signed: \(error.message)")
        }
        guard try store.registry.accept(checked, log: log, heardAt: now) else {
            throw PetalsError(
                .busy,
                "a newer version of the catalogue has come meanwhile; run the command again")
        }
        try node?.reloadCatalogues()
        try library.reloadCatalogues()
        return try show(try find(row.id.hex))
    }

    private func ownersKey(
        of row: CatalogueRow, _ path: String?
    ) throws(PetalsError) -> SigningIdentity? {
        guard let path else {
            return try CatalogueKeys.read(CatalogueKeys.path(of: row.id, in: folder.path))
        }
        let key = try CatalogueKeys.require(path)
        guard key.catalogueID == row.id else {
            throw PetalsError(.badInput, "\(path) is the key of another catalogue")
        }
        return key
    }

    // MARK: Follow

    private func follow(
        _ text: String, peers: [String]
    ) throws(PetalsError) -> CatalogueDetails {
        let link = try CatalogueLink(parsing: text)
        let known = try store.registry.catalogue(link.id)
        var row =
            known
            ?? CatalogueRow(id: link.id, name: link.name ?? link.id.short, addedAt: now)
        row.isFollowed = true
        // Only what is an address is dialled again after a restart.
        row.peers = Self.endpoints(peers + link.peers + row.peers).map(\.description)
            .reduce(into: []) { list, peer in if !list.contains(peer) { list.append(peer) } }
            .prefix(8).map { $0 }
        try store.registry.keep(row)
        if let node {
            node.dial(Self.endpoints(row.peers))
            try node.reloadCatalogues()
        }
        try library.reloadCatalogues()
        return try show(row)
    }

    private func unfollow(_ catalogue: String) throws(PetalsError) -> ControlResult {
        var row = try find(catalogue)
        guard row.isFollowed else {
            throw PetalsError(.notFound, "this node does not follow that catalogue")
        }
        // What was read stays, as the user's own.
        let read = library.entries.filter { entry in
            entry.listing?.catalogue == row.id && summary(entry).cached > 0
        }
        try store.registry.makeOwn(read.map(\.row.name))
        row.isFollowed = false
        let left = row
        try listing.withLock { _ throws(PetalsError) in
            if left.isOwn {
                try store.registry.keep(left)
            } else {
                try store.registry.removeCatalogue(left.id)
            }
            // What was donated to because of it goes with it.
            try releaseUnlisted()
        }
        try node?.reloadCatalogues()
        try library.reloadCatalogues()
        return .done
    }
}
