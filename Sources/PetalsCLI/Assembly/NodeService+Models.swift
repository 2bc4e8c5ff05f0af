internal import Foundation
internal import Logging
internal import PetalsCodec
internal import PetalsCore
internal import PetalsStore
internal import ShardFetch
internal import Synchronization

extension ModelLink {
    /// The same without the name: who only holds a model need not know what it is called.
    fileprivate var nameless: ModelLink {
        ModelLink(capability: capability, manifestID: manifestID, peers: peers)
    }
}

extension NodeService {
    // MARK: Publish

    func publish(
        _ request: ControlRequest.PublishRequest,
        progress: @escaping @Sendable (Int, Int) -> Void
    ) async throws(PetalsError) -> ControlResult {
        var options = Publisher.Options()
        options.name = request.name
        options.isPrivate = request.isPrivate
        options.metadata.license = request.license ?? ""
        options.parity = request.parity
        if let k = request.dataShards, let n = request.groupShards { options.shards = (k, n) }
        let node = node
        let publisher = Publisher(store: store, signer: identity.signing) { node?.announce($0) }
        let chosen = options
        let publication = try await onThread { () throws(PetalsError) in
            try publisher.publish(path: request.path, options: chosen, progress: progress)
        }
        try library.reload()
        // A wildcard is where to listen and nowhere to dial.
        let hints = [node?.listening].compactMap { $0 }
            .filter { !["0.0.0.0", "::"].contains($0.host) }.map(\.description)
        return .published(
            PublishedModel(
                name: publication.name,
                link: Self.withHints(publication.link, hints),
                relay: Self.withHints(publication.relayCap.nameless, hints),
                manifest: publication.manifestID.hex, size: publication.manifest.size,
                stored: publication.manifest.storedSize, resumed: publication.resumedBytes,
                replaced: publication.replaced?.hex,
                files: publication.manifest.entries.map(Self.file)))
    }

    private static func withHints(_ link: ModelLink, _ peers: [String]) -> String {
        ModelLink(
            capability: link.capability, manifestID: link.manifestID, name: link.name,
            peers: peers
        ).text
    }

    private static func file(_ entry: ManifestEntry) -> PublishedModel.File {
        let (sha256, blob) =
            switch entry.content {
            case .record(let record): (record.sha256, Optional(record.blobID.hex))
            case .inlined(let bytes): (PetalsCodec.sha256(bytes), nil)
            }
        return PublishedModel.File(
            path: entry.path.description, size: entry.size, stored: entry.storedSize,
            sha256: sha256.hex, blob: blob)
    }

    // MARK: Hold

    func hold(
        _ request: ControlRequest.HoldRequest, notes: WaitNotes
    ) async throws(PetalsError) -> ControlResult {
        let link = try ModelLink(parsing: request.link)
        guard let node else {
            throw PetalsError(.unavailable, "no node runs to fetch the shards with")
        }
        let name = link.name ?? "model-\(link.manifestID.short)"
        return try await notes.during(name, link.manifestID, node) {
            () async throws(PetalsError) in
            try await hold(link, request, with: node) { notes.update(done: $0, total: $1) }
        }
    }

    private func hold(
        _ link: ModelLink, _ request: ControlRequest.HoldRequest, with node: Node,
        progress: @escaping @Sendable (Int, Int) -> Void
    ) async throws(PetalsError) -> ControlResult {
        node.dial(Self.endpoints(request.peers + link.peers))
        let relayKey =
            switch link.capability {
            case .read(let key): KeyDerivation.relayKey(of: key)
            case .relay(let key): key
            }
        let bytes: [UInt8]
        if let here = try store.registry.readManifest(link.manifestID) {
            bytes = here
        } else {
            bytes = try await node.fetchManifest(link.manifestID, relayKey: relayKey)
        }
        let outer = try ManifestSealing.openOuter(bytes, relayKey: relayKey, id: link.manifestID)
        let held = try await fetchShards(of: outer, request, node: node, progress: progress)
        try store.registry.keepDonated(link.manifestID)
        let name = try registerHeld(link, relayKey, bytes, outer, shards: request.shards)
        return .held(
            HeldModel(
                name: name, manifest: link.manifestID.hex, blobs: outer.grants.count,
                shards: held.shards, bytes: held.bytes))
    }

    /// Fetches the wanted shards of each blob; what is here already costs nothing, so that a hold
    /// that was interrupted goes on where it was.
    private func fetchShards(
        of outer: ManifestOuter, _ request: ControlRequest.HoldRequest, node: Node,
        progress: @escaping @Sendable (Int, Int) -> Void
    ) async throws(PetalsError) -> (shards: Int, bytes: Int) {
        var work: [(session: BlobSession, shards: [ShardIndex])] = []
        var total = 0
        for grant in outer.grants {
            let session = try await node.open(grant.blobID, relayKey: grant.relayKey)
            let shards = Self.shards(request.shards, of: session.geometry)
            total += shards.reduce(0) { $0 + session.geometry.shardLength($1) }
            work.append((session, shards))
        }
        try checkDonation(work)
        for (session, shards) in work {
            try store.setClass(.held, of: shards, blob: session.id)
            try store.keepByHand(shards, blob: session.id)
        }
        // What was chosen makes room for what was asked for.
        await donor?.reckon()
        let bytes = total
        try await fetchWhole(work, with: node, isForOthers: true) { progress($0, bytes) }
        return (work.reduce(0) { $0 + $1.shards.count }, total)
    }

    /// Throws where shards would take more of the disk than `serve --donate` gave for others.
    private func checkDonation(
        _ work: [(session: BlobSession, shards: [ShardIndex])]
    ) throws(PetalsError) {
        guard let donated = bounds.donated else { return }
        // Shards that this node chose by itself make room.
        let chosen = try store.registry.donations()
        let wanted = work.reduce(0) { sum, item in
            sum + item.shards.reduce(0) { $0 + item.session.geometry.shardLength($1) }
        }
        let asked = Dictionary(work.map { ($0.session.id, Set($0.shards)) }) { $0.union($1) }
        let held = store.allBlobs().reduce(0) { sum, blob in
            let others = blob.keptShards().subtracting(chosen[blob.id] ?? [])
                .subtracting(asked[blob.id] ?? [])
            return sum
                + others.filter { blob.shardClass(of: $0) == .held }
                .reduce(0) { $0 + blob.geometry.shardLength($1) }
        }
        guard wanted > donated - held else { return }
        throw PetalsError(
            .noSpace,
            "holding this takes \(ByteCount(wanted)), and of the \(ByteCount(donated)) that "
                + "--donate gives \(ByteCount(held)) are taken; raise it, or hold fewer --shards")
    }

    /// The shards that `--shards` names: these columns of every group, counted round in blobs that
    /// have fewer; all shards when nothing is named.
    static func shards(_ columns: [Int]?, of geometry: BlobGeometry) -> [ShardIndex] {
        let all = geometry.shards
        guard let columns else { return all }
        let wanted = Set(columns.map { $0 % geometry.groupShards })
        return all.filter { wanted.contains(geometry.column(of: $0)) }
    }

    /// Registers a model that is held, once all its shards are here.
    ///
    /// - Returns: its name; one that another model has already gets the manifest's id behind it.
    private func registerHeld(
        _ link: ModelLink, _ relayKey: SecretKey, _ manifest: [UInt8], _ outer: ManifestOuter,
        shards: [Int]?
    ) throws(PetalsError) -> String {
        let entries = library.entries
        if let same = entries.first(where: { $0.row.manifestID == link.manifestID }) {
            return same.row.name
        }
        var name = link.name ?? "model-\(link.manifestID.short)"
        if entries.contains(where: { $0.row.name == name }) { name += "~\(link.manifestID.short)" }
        try store.registry.storeManifest(manifest, id: link.manifestID)
        try store.registry.add(
            ModelRow(
                name: name, manifestID: link.manifestID, capability: .relay(relayKey),
                origin: .held, addedAt: Int(Date().timeIntervalSince1970), shards: shards),
            blobs: outer.grants.map(BlobRow.init(grant:)))
        try library.reload()
        return name
    }

    // MARK: Care

    func verify(
        _ name: String?, progress: @escaping @Sendable (Int, Int) -> Void
    ) async throws(PetalsError) -> VerifySummary {
        var blobs: [BlobID]?
        if let name { blobs = try library.entry(name).grants.map(\.blobID) }
        let store = store
        let total = store.usage().total
        let wanted = blobs
        let report = try await onThread { () throws(PetalsError) in
            try store.verify(blobs: wanted) { progress(min($0.bytes, total), total) }
        }
        _ = await checkFoundFiles(named: name)
        let wrong = wrongModels.filter { name == nil || name == $0 }
        return VerifySummary(
            cells: report.cells, bytes: report.bytes,
            damaged: report.damaged.map { "blob \($0.blobID.short) \($0.address)" },
            changedFiles: report.staleSources, wrongModels: wrong,
            clean: report.isClean && wrong.isEmpty)
    }

    // MARK: Facts

    func summary(_ entry: ModelLibrary.Entry) -> ModelSummary {
        let manifest = entry.manifest
        let listed = entry.listing?.entry
        let row = entry.row
        let metadata = manifest?.metadata ?? listed?.metadata
        let size: Int = manifest?.size ?? listed?.size ?? 0
        let stored: Int = manifest?.storedSize ?? storedSize(entry)
        let isDonated: Bool = row.origin == .held && row.shards?.isEmpty == true
        return ModelSummary(
            name: row.name, origin: row.origin.rawValue, catalogue: entry.listing?.title,
            manifest: row.manifestID.hex, donated: isDonated, pending: entry.isPending,
            pinned: entry.isPinned, size: size, stored: stored, cached: cachedSize(entry),
            files: manifest?.entries.count ?? 0, format: metadata?.format ?? "",
            license: metadata?.license ?? "", check: row.check?.rawValue, parity: parity(entry),
            changedFiles: changedFiles(of: entry))
    }

    private func storedSize(_ entry: ModelLibrary.Entry) -> Int {
        entry.grants.reduce(0) {
            $0 + (store.blob($1.blobID)?.geometry.storedLength ?? 0)
        }
    }

    /// Bytes of a model's cells that are in this node, parity included for models that are held.
    private func cachedSize(_ entry: ModelLibrary.Entry) -> Int {
        entry.grants.reduce(0) { sum, grant in
            guard let blob = store.blob(grant.blobID) else { return sum }
            let wantsParity = entry.row.origin == .held
            return sum
                + blob.heldShards().reduce(0) { sum, shard in
                    guard wantsParity || blob.geometry.isData(shard) else { return sum }
                    return sum
                        + min(
                            blob.holdings(of: shard).count * Limits.cellBytes,
                            blob.geometry.shardLength(shard))
                }
        }
    }

    func details(_ name: String) throws(PetalsError) -> ModelDetails {
        let entry = try library.entry(name)
        let row = entry.row
        let link =
            switch row.capability {
            // A manifest of our own is passed on only when its claim was checked.
            case .read where row.check == nil || row.check == .checked:
                Optional(
                    ModelLink(
                        capability: row.capability, manifestID: row.manifestID, name: row.name
                    ).text)
            case .read, .relay: nil as String?
            }
        return ModelDetails(
            summary: summary(entry), link: link,
            relay: ModelLink(
                capability: .relay(row.relayKey), manifestID: row.manifestID
            ).text,
            publisher: row.check == nil ? entry.opened.map { Base32.encode($0.publisher) } : nil,
            metadata: entry.manifest?.metadata,
            files: (entry.manifest?.entries ?? []).map(Self.file))
    }

    func status() -> StatusSummary {
        let usage = store.usage()
        var classes: [String: Int] = [:]
        for (shardClass, bytes) in usage.bytes { classes[shardClass.rawValue] = bytes }
        return StatusSummary(
            changedFiles: changedFiles(), state: folder.path, exists: true, mount: mountPath,
            node: node?.status(), waiting: waitingFiles(),
            waitingManifests: waitingManifests(), store: classes,
            cacheSize: usage.limit, cacheFree: usage.floor,
            // A disk that does not say is left out.
            diskFree: (try? store.readDiskSpace())?.free, models: library.entries.count,
            wrongModels: wrongModels,
            // What the registry cannot say is said by every other command.
            catalogues: (try? catalogueSummaries()) ?? [], donation: donor?.status())
    }

    /// Models whose manifest is looked for, by name.
    private func waitingManifests() -> [WaitingManifest] {
        guard let node else { return [] }
        return library.entries.filter(\.isPending).compactMap { entry in
            node.lacks(manifest: entry.row.manifestID).map {
                WaitingManifest(name: ModelPath.printable(entry.row.name), lacks: $0)
            }
        }
    }

    /// Files of which reads wait, by name.
    private func waitingFiles() -> [WaitingFile] {
        guard let waiting = node?.waiting(), !waiting.isEmpty else { return [] }
        var names: [BlobID: String] = [:]
        for entry in library.entries {
            for file in entry.manifest?.entries ?? [] {
                guard case .record(let record) = file.content else { continue }
                let path = entry.manifest?.singleFile == true ? "" : "/\(file.path)"
                names[record.blobID] = ModelPath.printable(entry.row.name + path)
            }
        }
        return waiting.map {
            WaitingFile(name: names[$0.blob] ?? $0.blob.short, reads: $0.reads, lacks: $0.lacks)
        }
    }
}
