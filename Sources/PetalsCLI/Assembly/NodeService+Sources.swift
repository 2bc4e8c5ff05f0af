internal import Logging
internal import PetalsCore
internal import PetalsStore

/// Published files, which their owner may change.
extension NodeService {
    /// Published files that are not served any more.
    func changedFiles() -> [ChangedFile] {
        do throws(PetalsError) {
            return try store.registry.staleSources().map(ChangedFile.init)
        } catch {
            logger.warning("\(error)")
            return []
        }
    }

    /// The same of one model.
    func changedFiles(of entry: ModelLibrary.Entry) -> [ChangedFile] {
        guard entry.row.origin == .published else { return [] }
        let blobs = Set(entry.grants.map(\.blobID))
        do throws(PetalsError) {
            return try store.registry.staleSources().filter { blobs.contains($0.blobID) }
                .map(ChangedFile.init)
        } catch {
            logger.warning("\(error)")
            return []
        }
    }

    /// What became of the parity of a model that was published here; nil for any other.
    func parity(_ entry: ModelLibrary.Entry) -> String? {
        guard entry.row.origin == .published else { return nil }
        let blobs = entry.grants.compactMap { store.blob($0.blobID) }
        return blobs.isEmpty || blobs.contains { $0.hasParity } ? "stored" : "none"
    }
}

extension ChangedFile {
    fileprivate init(_ source: StaleSource) {
        self.init(path: source.path, state: "\(source.state)", text: source.text)
    }
}
