internal import Foundation
internal import Logging
internal import PetalsCodec
internal import PetalsCore
internal import PetalsStore
internal import ShardFetch
internal import Synchronization

// Models that followed catalogues list.
//
// They are shown beside the user's own, by what the catalogue says of them: five thousand of them
// cost no manifest. One that somebody opens is fetched and registered, with a mark that says whose
// it is (`Registry.listedModels`).
//
// Names: the user's own models come first, then the catalogues in the order in which they were
// followed. An entry whose name is taken is shown as `NAME (TITLE)`; nothing is ever replaced. What
// is here already, under whatever name, is not shown twice.

extension ModelLibrary {
    /// How many manifests are fetched before somebody opens their models: those that were listed
    /// last.
    private static let fetchedAheadMax = 32
    /// Seconds for each of them.
    private static let fetchAheadSeconds = 15

    /// Reads again what the followed catalogues list.
    func reloadCatalogues() throws(PetalsError) {
        state.withLock { state in
            state.listed = nil
            state.listedVersion += 1
        }
        try reload()
    }

    /// All models as the registry and the catalogues have them now.
    func currentEntries() throws(PetalsError) -> [String: Entry] {
        let registry = store.registry
        let pins = try registry.pins()
        let marks = try registry.listedModels()
        var fresh: [String: Entry] = [:]
        var marked: [Digest: ModelRow] = [:]
        var shown: Set<ManifestID> = []
        for row in try registry.models() {
            if let owner = marks[row.name] {
                marked[sha256(owner.bytes + row.manifestID.bytes)] = row
                continue
            }
            fresh[row.name] = try entry(of: row, pins: pins)
            if case .read = row.capability { shown.insert(row.manifestID) }
        }
        var unopened: [CatalogueModel] = []
        for model in try listed() where shown.insert(model.entry.manifestID).inserted {
            let key = sha256(model.catalogue.bytes + model.entry.manifestID.bytes)
            guard let row = marked.removeValue(forKey: key) else {
                unopened.append(model)
                continue
            }
            fresh[row.name] = try entry(of: row, pins: pins)
            fresh[row.name]?.listing = model
        }
        // What is not listed any more; whoever has it open goes on reading.
        if !marked.isEmpty { try registry.retire(marked.values.map(\.name)) }
        for model in unopened {
            let name = Self.freeName(of: model) { fresh[$0] != nil }
            fresh[name] = Entry(
                row: ModelRow(
                    name: name, manifestID: model.entry.manifestID,
                    capability: model.entry.capability, origin: .added,
                    addedAt: model.entry.addedAt),
                opened: nil, grants: [], listing: model)
        }
        return fresh
    }

    /// What can be read of what the followed catalogues list.
    func listed() throws(PetalsError) -> [CatalogueModel] {
        let (known, version) = state.withLock { ($0.listed, $0.listedVersion) }
        if let known { return known }
        let listed = try store.registry.catalogueModels().filter { $0.entry.isReadable }
        state.withLock { state in
            if state.listedVersion == version { state.listed = listed }
        }
        return listed
    }

    /// The name under which an entry is shown.
    static func freeName(of model: CatalogueModel, isTaken: (String) -> Bool) -> String {
        let name = model.entry.name
        if !isTaken(name) { return name }
        let titled = "\(name) (\(model.title.replacing("/", with: "-")))"
        if titled.utf8.count <= Limits.nameBytesMax, !isTaken(titled) { return titled }
        let id = model.entry.manifestID
        for end in ["~\(id.short)", "~\(id.hex)"] {
            var stem = name
            while stem.utf8.count + end.utf8.count > Limits.nameBytesMax { stem.removeLast() }
            if !isTaken(stem + end) { return stem + end }
        }
        return id.hex
    }

    // MARK: Manifests

    /// Fetches the manifest of a listed model, and returns when it is here or does not come.
    ///
    /// Whoever calls meanwhile waits for the same fetch; it goes on when one of them gives up.
    func fetchListed(_ name: String, with node: Node) async {
        let task = state.withLock { state -> Task<Void, Never>? in
            guard let entry = state.entries[name], let model = entry.listing, entry.isPending
            else { return nil }
            if let task = state.fetching[name] { return task }
            let row = entry.row
            let task = Task { [weak self] in
                guard let self else { return }
                await fetch(row, of: model, with: node)
            }
            state.fetching[name] = task
            return task
        }
        // It may have come this moment: once the lock is free, the mount has heard of it, too.
        guard let task else { return reloading.withLock { _ in } }
        // Returns when its caller is cancelled, as the fetch does not end with him.
        let (ended, end) = AsyncStream<Void>.makeStream()
        let watcher = Task {
            await task.value
            end.finish()
        }
        for await _ in ended {}
        watcher.cancel()
    }

    private func fetch(_ row: ModelRow, of model: CatalogueModel, with node: Node) async {
        let registry = store.registry
        do throws(PetalsError) {
            defer { state.withLock { $0.fetching[row.name] = nil } }
            logger.debug("asking peers for the manifest of “\(row.name)”")
            if try registry.readManifest(row.manifestID) == nil {
                let bytes = try await node.fetchManifest(row.manifestID, relayKey: row.relayKey)
                try registry.storeManifest(bytes, id: row.manifestID)
            }
            let entry = try open(row)
            guard entry.opened != nil else { return }
            try registry.addListed(
                row, blobs: entry.grants.map(BlobRow.init(grant:)), of: model.catalogue)
            state.withLock { $0.fetching[row.name] = nil }
            try reload()
            let blobs = counted(entry.grants.count, "blob")
            logger.info("the manifest of “\(row.name)” is here: \(blobs)")
        } catch {
            if error.code != .cancelled { logger.error("“\(row.name)”: \(error.message)") }
        }
    }

    /// Fetches the manifests of what was listed last, a few at a time, so that it opens at once.
    func fetchAhead(with node: Node) async {
        let names = entries.filter { $0.listing != nil && $0.isPending }
            .sorted { $0.row.addedAt > $1.row.addedAt }
            .prefix(Self.fetchedAheadMax).map(\.row.name)
        await withTaskGroup(of: Void.self) { group in
            for (number, name) in names.enumerated() {
                if number >= 4 { await group.next() }
                group.addTask { [self] in
                    let fetching = Task { await fetchListed(name, with: node) }
                    let limit = Task {
                        // Cancelled where the manifest came first.
                        try? await Task.sleep(for: .seconds(Self.fetchAheadSeconds))
                        fetching.cancel()
                    }
                    await withTaskCancellationHandler {
                        await fetching.value
                    } onCancel: {
                        fetching.cancel()
                    }
                    limit.cancel()
                }
            }
        }
    }
}

extension CatalogueEntry {
    /// The manifest's view of the entry, for those that know the manifest.
    init(
        name: String, manifest: ModelManifest, id: ManifestID, capability: ModelLink.Capability,
        metadata: ModelMetadata, addedAt: Int
    ) {
        let single = manifest.singleFile ? manifest.entries.first : nil
        var sha256: Digest?
        switch single?.content {
        case .record(let record): sha256 = record.sha256
        case .inlined(let bytes): sha256 = PetalsCodec.sha256(bytes)
        case nil: break
        }
        self.init(
            name: name, manifestID: id, capability: capability,
            isSingleFile: manifest.singleFile, isExecutable: single?.executable ?? false,
            size: manifest.size, sha256: sha256, metadata: metadata, addedAt: addedAt)
    }
}
