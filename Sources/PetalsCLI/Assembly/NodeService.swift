internal import Foundation
internal import Logging
internal import PetalsCodec
internal import PetalsCore
internal import PetalsFS
internal import PetalsStore
internal import ShardFetch
internal import Synchronization

/// How much of the disk the cache of a node may have.
struct CacheBounds {
    /// The most bytes of cached cells; nil for as much as the disk has.
    var size: Int?
    /// Bytes of the disk that it leaves free; nil for the usual.
    var free: Int?
    /// The most bytes of shards that others may have this node hold; nil for what the disk has.
    var donated: Int?
    /// Whether the node chooses such shards by itself, and the models that were named for that.
    var chooses = false
    var donatedModels: [ModelLink] = []
}

/// A state folder at work: its store, its models, and the node when one runs.
///
/// Carries out `ControlRequest`s, whoever brings them.
final class NodeService: Sendable {
    let folder: StateFolder
    let store: Store
    let identity: NodeIdentity
    let library: ModelLibrary
    let logger: Logger
    let bounds: CacheBounds
    /// Whether work on threads of its own should end.
    let isStopping = Atomic<Bool>(false)
    /// Held while models that catalogues list are registered, or forgotten.
    let listing = Mutex(())
    private let state = Mutex(State())

    private struct State {
        var node: Node?
        var donor: Donor?
        var donating: Task<Void, Never>?
        var checking: Task<Void, Never>?
        var fetchingAhead: Task<Void, Never>?
        var trust: SignatureRules?
        var mountPath: String?
        var unmount: (@Sendable () -> Void)?
    }

    /// Opens a state folder and takes its lock.
    ///
    /// - Throws: `PetalsError` saying what is wrong with the folder.
    init(
        statePath: String, logger: Logger, bounds: CacheBounds = .init()
    ) throws(PetalsError) {
        self.logger = logger
        self.bounds = bounds
        folder = try StateFolder(opening: statePath)
        identity = try NodeIdentity(seed: try folder.identitySeed())
        store = try Store(
            folder: folder, logger: logger, limit: bounds.size, floor: bounds.free)
        try store.collectGarbage()
        library = try ModelLibrary(store: store, logger: logger)
    }

    // MARK: Life

    var node: Node? { state.withLock { $0.node } }
    var donor: Donor? { state.withLock { $0.donor } }
    var mountPath: String? { state.withLock { $0.mountPath } }

    /// Starts a node and asks for what is missing.
    @discardableResult
    func startNode(_ network: NodeConfiguration) async throws(PetalsError) -> Node {
        var configuration = network
        configuration.dht?.statePath = folder.dhtFile
        let node = Node(
            store: store, identity: identity, configuration: configuration, logger: logger)
        try await node.start()
        state.withLock { $0.node = node }
        if let listening = node.listening {
            try folder.replaceFile("listen", with: Array("\(listening)\n".utf8))
        }
        library.fetchPending(with: node)
        library.observe { [weak node] entries in
            node?.offer(entries.flatMap(\.offeredRecords))
            node?.offer(models: ModelLibrary.offeredModels(of: entries))
        }
        try startCatalogues(with: node)
        await startDonating(with: node)
        let checking = Task { await keepCheckingFoundFiles() }
        state.withLock { $0.checking = checking }
        return node
    }

    /// Says that a donor chooses shards, and what looks after its models.
    func donates(_ donor: Donor?, _ task: Task<Void, Never>?) -> Task<Void, Never>? {
        state.withLock { state in
            defer { (state.donor, state.donating) = (donor, task) }
            return state.donating
        }
    }

    /// Which models may be opened; nil for all.
    var trust: SignatureRules? { state.withLock { $0.trust } }

    /// Lets only models be opened that somebody known vouches for; before they are mounted.
    func requireSigned(_ rules: SignatureRules) { state.withLock { $0.trust = rules } }

    /// Fetches the manifests of what was listed last, where models are mounted; one such task runs
    /// at a time.
    func fetchListedAhead(with node: Node) {
        let library = library
        state.withLock { state in
            guard state.mountPath != nil else { return }
            state.fetchingAhead?.cancel()
            state.fetchingAhead = Task { await library.fetchAhead(with: node) }
        }
    }

    /// Says that models are mounted, and how `umount` ends that.
    func mounted(at path: String, unmount: @escaping @Sendable () -> Void) {
        state.withLock { state in
            state.mountPath = path
            state.unmount = unmount
        }
        if let node { fetchListedAhead(with: node) }
    }

    /// Stops the node; the state folder is free when the process ends.
    func stop(clearCache: Bool) async {
        isStopping.store(true, ordering: .relaxed)
        let (node, checking, ahead) = state.withLock { state in
            defer { (state.node, state.checking, state.fetchingAhead) = (nil, nil, nil) }
            return (state.node, state.checking, state.fetchingAhead)
        }
        ahead?.cancel()
        checking?.cancel()
        await checking?.value
        await stopDonating()
        await node?.stop()
        if node?.listening != nil { try? FileManager.default.removeItem(atPath: folder.listenFile) }
        guard clearCache else { return }
        do throws(PetalsError) {
            try store.clearCached()
        } catch {
            logger.error("the cache could not be cleared: \(error.message)")
        }
    }

    // MARK: Requests

    /// Carries out a request as a stream of events that ends with its result.
    func events(for request: ControlRequest) -> AsyncStream<ControlEvent> {
        AsyncStream(bufferingPolicy: .bufferingNewest(64)) { continuation in
            let task = Task {
                do throws(PetalsError) {
                    let result = try await perform(
                        request, progress: { continuation.yield(.progress(done: $0, total: $1)) },
                        note: { continuation.yield(.note($0)) })
                    continuation.yield(.result(result))
                } catch {
                    continuation.yield(
                        .failure(code: error.code.rawValue, message: error.message))
                }
                continuation.finish()
            }
            // A command that is interrupted takes its request with it.
            continuation.onTermination = { _ in task.cancel() }
        }
    }

    /// Carries out a request.
    ///
    /// - Parameter note: told what the request waits for, where that lasts.
    func perform(
        _ request: ControlRequest, progress: @escaping @Sendable (Int, Int) -> Void,
        note: @escaping @Sendable (String) -> Void = { _ in }
    ) async throws(PetalsError) -> ControlResult {
        let notes = WaitNotes(note: note, progress: progress)
        // People are told what is, and not what was.
        switch request {
        case .list, .info, .status: store.checkSources()
        default: break
        }
        return switch request {
        case .publish(let request): try await publish(request, progress: progress)
        case .hold(let request): try await hold(request, notes: notes)
        case .add(let request): .model(try await add(request))
        case .list: .models(library.entries.map(summary))
        case .info(let name): .details(try details(name))
        case .remove(let name): try remove(name)
        case .prefetch(let name, let wait):
            try await prefetch(name, wait: wait, notes: notes)
        case .pin(let name): .kept(try await pin(name, notes: notes))
        case .unpin(let name): .kept(try unpin(name))
        case .evict(let name): .evicted(try await evict(name, progress: progress))
        case .verify(let name): .verified(try await verify(name, progress: progress))
        case .status: .status(status())
        case .credits: .credits(try credits())
        case .limit(let rate, let times): try limitUploads(rate: rate, times: times)
        case .unmount: try unmount()
        case .catalogue(let request): try perform(request)
        }
    }

    private func unmount() throws(PetalsError) -> ControlResult {
        guard let unmount = state.withLock({ $0.unmount }) else {
            throw PetalsError(.notFound, "the node of \(folder.path) has no mount")
        }
        unmount()
        return .done
    }

    func remove(_ name: String) throws(PetalsError) -> ControlResult {
        try requireOwn(name)
        try forget(name)
        return .done
    }

    /// Forgets a model, and deletes what only it needs.
    func forget(_ name: String) throws(PetalsError) {
        let orphans = try store.registry.removeModel(name)
        node?.forget(orphans)
        try library.reload()
        try store.remove(blobs: orphans)
        // After that, as what is unpinned competes for the cache with all the rest.
        try store.releasePins()
        for blob in orphans { donor?.remove(blob) }
    }

    /// A link that lets its holder read; a relay cap is refused with the reason.
    static func readLink(_ text: String) throws(PetalsError) -> ModelLink {
        guard !ModelReference.namesFile(text) else {
            throw PetalsError(
                .badInput,
                "a SHA-256 is no link: find its file first with `petalsfs add sha256:HEX --peer "
                    + "HOST:PORT`, then mount without it")
        }
        let link = try ModelLink(parsing: text)
        guard case .read = link.capability else {
            throw PetalsError(
                .badInput,
                "this is a relay cap: it lets a node hold the model (`petalsfs hold`) and not read "
                    + "it; ask its publisher for the link that begins with petals:r1:")
        }
        return link
    }

    /// Registers a model that is to be read.
    func add(link text: String, name: String?) throws(PetalsError) -> ModelSummary {
        let link = try Self.readLink(text)
        if let same = library.entries.first(where: {
            $0.row.manifestID == link.manifestID && $0.row.capability == link.capability
                && (name == nil || name == $0.row.name)
        }) {
            return summary(same)
        }
        let chosen = name ?? link.name ?? "model-\(link.manifestID.short)"
        try ModelPath.check(component: chosen)
        try store.registry.add(
            ModelRow(
                name: chosen, manifestID: link.manifestID, capability: link.capability,
                origin: .added, addedAt: Int(Date().timeIntervalSince1970)))
        try library.reload()
        if let node {
            node.dial(Self.endpoints(link.peers))
            library.fetchPending(with: node)
        }
        return summary(try library.entry(chosen))
    }

    /// The addresses among a link's hints; what is no address is no hint.
    static func endpoints(_ hints: [String]) -> [SocketEndpoint] {
        hints.compactMap { try? SocketEndpoint(parsing: $0) }
    }

    /// Runs blocking work on a thread of its own.
    func onThread<Value: Sendable>(
        _ work: @escaping @Sendable () throws(PetalsError) -> Value
    ) async throws(PetalsError) -> Value {
        let result = await withCheckedContinuation { continuation in
            Thread {
                let result = Result { () throws(PetalsError) in try work() }
                continuation.resume(returning: result)
            }.start()
        }
        return try result.get()
    }
}
