internal import PetalsCore
internal import ShardFetch

/// Answers where there is no state folder: to look at what is not there makes nothing.
extension ControlRequest {
    /// The answer to a request that only asks, or that names what cannot be here; nil for those
    /// that need a state folder, and make it.
    func answer(withoutFolder path: String) throws(PetalsError) -> ControlResult? {
        switch self {
        case .publish, .hold, .add: return nil
        case .list: return .models([])
        case .info(let name), .remove(let name), .prefetch(let name, _), .pin(let name),
            .unpin(let name), .evict(let name), .verify(let name?):
            throw ModelLibrary.unknown(name)
        case .verify(nil):
            return .verified(
                VerifySummary(
                    cells: 0, bytes: 0, damaged: [], changedFiles: [], wrongModels: [],
                    clean: true))
        case .status: return .status(StatusSummary(withoutFolder: path))
        case .credits: return .credits(.empty)
        case .limit: throw NodeService.noNode(on: path)
        case .unmount: throw PetalsError(.notFound, "the node of \(path) has no mount")
        case .catalogue(let request): return try request.answerWithoutFolder()
        }
    }
}

extension CatalogueRequest {
    fileprivate func answerWithoutFolder() throws(PetalsError) -> ControlResult? {
        switch self {
        case .create, .adopt, .follow, .signer: return nil
        case .list: return .catalogues([])
        case .add(let request): throw NodeService.unknownCatalogue(request.catalogue)
        case .withdraw(let catalogue, _, _), .unfollow(let catalogue), .show(let catalogue):
            throw NodeService.unknownCatalogue(catalogue)
        }
    }
}

extension StatusSummary {
    fileprivate init(withoutFolder path: String) {
        self.init(
            changedFiles: [], state: path, exists: false, mount: nil, node: nil, waiting: [],
            waitingManifests: [], store: [:], cacheSize: nil, cacheFree: 0, diskFree: nil,
            models: 0, wrongModels: [], catalogues: [], donation: nil)
    }
}
