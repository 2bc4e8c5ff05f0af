internal import Foundation
internal import Logging
internal import PetalsCodec
internal import PetalsCore
internal import PetalsFS
internal import PetalsStore
internal import ShardFetch
internal import Synchronization

/// The registered models, with their manifests as far as they are here.
///
/// A model whose manifest is missing is *pending*: while a node runs, its manifest is asked for
/// until it comes. Whoever shows models (the mount) is told of every change.
final class ModelLibrary: Sendable {
    /// A registered model.
    struct Entry: Sendable {
        let row: ModelRow
        /// The opened manifest; nil while pending, and for models that are only held.
        let opened: ManifestSealing.Opened?
        /// The blobs that it consists of; empty while pending.
        let grants: [BlobGrant]
        /// Whether it is kept until it is unpinned.
        var isPinned = false
        /// What lists the model, where it is here because a catalogue is followed.
        var listing: CatalogueModel?

        var isPending: Bool { grants.isEmpty && opened == nil }
        var manifest: ModelManifest? { opened?.manifest }

        /// The records of its files.
        var records: [FileRecord] {
            (manifest?.entries ?? []).compactMap { entry in
                guard case .record(let record) = entry.content else { return nil }
                return record
            }
        }
        /// The record of a file that was found by its SHA-256; nil for any other model.
        var found: FileRecord? { row.check == nil ? nil : records.first }
    }

    struct State {
        var entries: [String: Entry] = [:]
        var fetching: [String: Task<Void, Never>] = [:]
        var observers: [@Sendable ([Entry]) -> Void] = []
        /// What the followed catalogues list; nil where it has to be read again.
        var listed: [CatalogueModel]?
        /// Counts how often that was the case: what was read before is not kept after.
        var listedVersion = 0
    }

    let store: Store
    let logger: Logger
    let state = Mutex(State())
    /// Held while the registry is read and observers are told, so that the latest is told last.
    let reloading = Mutex(())

    init(store: Store, logger: Logger) throws(PetalsError) {
        self.store = store
        self.logger = logger
        try reload()
    }

    /// All models, by name.
    var entries: [Entry] {
        state.withLock { $0.entries.values.sorted { $0.row.name < $1.row.name } }
    }

    /// The model of a name.
    ///
    /// - Throws: `PetalsError.notFound` saying how to see what there is.
    func entry(_ name: String) throws(PetalsError) -> Entry {
        guard let entry = state.withLock({ $0.entries[name] }) else {
            throw Self.unknown(name)
        }
        return entry
    }

    static func unknown(_ name: String) -> PetalsError {
        PetalsError(
            .notFound, "no model named “\(name)” is registered; `petalsfs ls` shows those that are")
    }

    /// The model as it is now; nil where its name stands for another manifest, or for nothing.
    func current(_ row: ModelRow) -> Entry? {
        guard let entry = state.withLock({ $0.entries[row.name] }),
            entry.row.manifestID == row.manifestID
        else { return nil }
        return entry
    }

    /// Calls `observer` now and after each change.
    func observe(_ observer: @escaping @Sendable ([Entry]) -> Void) {
        reloading.withLock { _ in
            state.withLock { $0.observers.append(observer) }
            observer(entries)
        }
    }

    /// Reads the registry again.
    func reload() throws(PetalsError) {
        try reloading.withLock { _ throws(PetalsError) in try reloadNow() }
    }

    private func reloadNow() throws(PetalsError) {
        let fresh = try currentEntries()
        let (entries, observers) = state.withLock { state in
            state.entries = fresh
            for (name, task) in state.fetching where fresh[name]?.isPending != true {
                task.cancel()
                state.fetching[name] = nil
            }
            return (fresh.values.sorted { $0.row.name < $1.row.name }, state.observers)
        }
        for observer in observers { observer(entries) }
    }

    /// The model of a row as it is known already, or with its manifest where that is here.
    func entry(of row: ModelRow, pins: Set<String>) throws(PetalsError) -> Entry {
        let known = state.withLock { $0.entries[row.name] }
        var entry: Entry
        if let known, known.row == row, !known.isPending {
            entry = known
        } else {
            entry = try open(row)
        }
        entry.isPinned = pins.contains(row.name)
        entry.listing = nil
        return entry
    }

    /// Opens a model's manifest where it is here.
    func open(_ row: ModelRow) throws(PetalsError) -> Entry {
        guard let bytes = try store.registry.readManifest(row.manifestID) else {
            return Entry(row: row, opened: nil, grants: [])
        }
        do throws(PetalsError) {
            switch row.capability {
            case .read(let key):
                let opened = try ManifestSealing.openInner(
                    bytes, readKey: key, id: row.manifestID)
                return Entry(row: row, opened: opened, grants: opened.outer.grants)
            case .relay(let key):
                let outer = try ManifestSealing.openOuter(
                    bytes, relayKey: key, id: row.manifestID)
                return Entry(row: row, opened: nil, grants: outer.grants)
            }
        } catch {
            logger.error("the manifest of “\(row.name)” cannot be used: \(error.message)")
            return Entry(row: row, opened: nil, grants: [])
        }
    }

    // MARK: Pending models

    /// Asks peers for the manifests that are missing, until they come.
    ///
    /// Those of models that a catalogue lists are fetched when they are opened.
    func fetchPending(with node: Node) {
        for entry in entries where entry.isPending && entry.listing == nil {
            let row = entry.row
            state.withLock { state in
                guard state.fetching[row.name] == nil else { return }
                state.fetching[row.name] = Task { [weak self] in
                    await self?.fetch(row, with: node)
                }
            }
        }
    }

    /// Waits until no model is pending, or for so many seconds.
    func waitForManifests(seconds: Double) async {
        let end = Date().addingTimeInterval(seconds)
        while entries.contains(where: { $0.isPending && $0.listing == nil }), Date() < end {
            // Cancelled: the caller goes on at once.
            guard (try? await Task.sleep(for: .milliseconds(20))) != nil else { return }
        }
    }

    /// The model of a name, once its manifest is here.
    ///
    /// - Throws: as `entry`; `.cancelled` when the task is cancelled.
    func arrived(_ name: String) async throws(PetalsError) -> Entry {
        while true {
            let entry = try entry(name)
            guard entry.isPending else { return entry }
            do {
                try await Task.sleep(for: .milliseconds(20))
            } catch {
                throw PetalsError(
                    .cancelled, "the manifest of “\(name)” has not arrived; no peer has given it")
            }
        }
    }

    /// The models whose manifest is here and means something to others, with their relay keys.
    static func offeredModels(of entries: [Entry]) -> [ManifestID: SecretKey] {
        // The manifest of a found file is of this node's own making.
        let offered = entries.filter { !$0.isPending && $0.row.check == nil }
        return Dictionary(
            offered.map { ($0.row.manifestID, $0.row.relayKey) }, uniquingKeysWith: { a, _ in a })
    }

    private func fetch(_ row: ModelRow, with node: Node) async {
        do throws(PetalsError) {
            logger.debug("asking peers for the manifest of “\(row.name)”")
            let bytes = try await node.fetchManifest(row.manifestID, relayKey: row.relayKey)
            try store.registry.storeManifest(bytes, id: row.manifestID)
            let entry = try open(row)
            try store.registry.link(entry.grants.map(BlobRow.init(grant:)), to: row.name)
            state.withLock { $0.fetching[row.name] = nil }
            try reload()
            let blobs = counted(entry.grants.count, "blob")
            logger.info("the manifest of “\(row.name)” is here: \(blobs)")
            await openLargest(of: entry, with: node)
        } catch {
            if error.code != .cancelled { logger.error("“\(row.name)”: \(error.message)") }
        }
    }

    /// Fetches the descriptors of a model's largest files, so that their first read need not.
    func openLargest(of entry: Entry, with node: Node) async {
        let largest = entry.records.sorted { $0.size > $1.size }
        for record in largest.prefix(Limits.topicsPerPeerMax / 2) {
            // Cancelled, or not to be had now: the first read asks again.
            guard (try? await node.warm(record)) != nil else { return }
        }
    }
}

extension ModelRow {
    /// The model's relay key, from whichever capability is here.
    var relayKey: SecretKey {
        switch capability {
        case .read(let key): KeyDerivation.relayKey(of: key)
        case .relay(let key): key
        }
    }
}

extension BlobRow {
    /// A blob of which only the right to hold it is known.
    init(grant: BlobGrant) {
        self.init(blobID: grant.blobID, relayKey: grant.relayKey)
    }
}
