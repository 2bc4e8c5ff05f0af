internal import Foundation
internal import Logging
internal import PetalsCodec
internal import PetalsCore
internal import PetalsStore
internal import ShardFetch
internal import Synchronization

// Files that were found by their SHA-256. What a peer gave for it is verified leaf by leaf against
// a tree that the same peer named, so nothing but the digest itself says that it is the right file:
// it is compared once, when all of the file is here (docs/decisions/10-found-by-hash.md).

extension NodeService {
    /// Seconds between two looks at whether a found file has become complete.
    private static let checkPause = Duration.seconds(1)
    /// Seconds to wait after a disk that failed.
    private static let checkPauseAfterFailure = Duration.seconds(60)

    // MARK: Add

    /// Registers what a person named: a model by its link, or a file by its SHA-256.
    func add(_ request: ControlRequest.AddRequest) async throws(PetalsError) -> ModelSummary {
        let reference = try ModelReference(parsing: request.link)
        node?.dial(Self.endpoints(request.peers))
        switch reference {
        case .link(let link):
            if let rules = request.rules {
                try await requireSigned(link, rules, seconds: request.timeout)
            }
            return try add(link: request.link, name: request.name)
        case .file(let sha256):
            if let rules = request.rules { try requireListed(sha256, rules) }
            return try await add(fileWith: sha256, request)
        }
    }

    private func add(
        fileWith sha256: Digest, _ request: ControlRequest.AddRequest
    ) async throws(PetalsError) -> ModelSummary {
        let entries = library.entries
        if let same = entries.first(where: {
            $0.found?.sha256 == sha256 && $0.row.check != .mismatch
                && (request.name == nil || request.name == $0.row.name)
        }) {
            return summary(same)
        }
        let name = request.name ?? "sha256-\(sha256.hex.prefix(12))"
        try ModelPath.check(component: name)
        // What turned out to be something else makes room for the right file, once that is found.
        let replaced = entries.first {
            $0.row.name == name && $0.row.check == .mismatch && $0.found?.sha256 == sha256
        }
        if replaced == nil { try store.registry.requireFree(name) }
        guard let node else {
            throw PetalsError(.unavailable, "no node runs to ask peers with")
        }
        let wrong = entries.filter { $0.row.check == .mismatch }.flatMap(\.records)
        let record = try await node.findFile(
            sha256: sha256, excluding: Set(wrong.map(\.blobID)), seconds: request.timeout)
        if replaced != nil { _ = try remove(name) }
        try register(record, name: name)
        return summary(try library.entry(name))
    }

    /// Registers a found file as a model of its own, under a manifest that this node makes.
    private func register(_ record: FileRecord, name: String) throws(PetalsError) {
        let manifest = ModelManifest(
            name: name, singleFile: true,
            entries: [
                ManifestEntry(
                    path: try ModelPath(name), executable: false, content: .record(record))
            ], metadata: ModelMetadata())
        let sealed = try ManifestSealing.seal(manifest, signer: identity.signing)
        try store.registry.storeManifest(sealed.bytes, id: sealed.id)
        let relayKey = KeyDerivation.relayKey(of: record.blobKey)
        try store.registry.add(
            ModelRow(
                name: name, manifestID: sealed.id, capability: .read(sealed.readKey),
                origin: .added, addedAt: Int(Date().timeIntervalSince1970), check: .unchecked),
            blobs: [BlobRow(blobID: record.blobID, relayKey: relayKey)])
        try library.reload()
    }

    // MARK: Check

    /// The models that are not the file of their SHA-256, by name.
    var wrongModels: [String] {
        library.entries.filter { $0.row.check == .mismatch }.map(\.row.name)
    }

    /// Throws where a model that was waited for turned out to be something else.
    func requireRight(_ name: String) async throws(PetalsError) {
        _ = await checkFoundFiles(named: name)
        if let error = library.refusal(of: try library.entry(name).row) { throw error }
    }

    /// Checks found files as they become complete, until the node stops.
    func keepCheckingFoundFiles() async {
        var pause = Self.checkPause
        // Cancelled: the node stops.
        while (try? await Task.sleep(for: pause)) != nil {
            pause = await checkFoundFiles() ? Self.checkPause : Self.checkPauseAfterFailure
        }
    }

    /// Compares the found files that are here as a whole and were not checked yet.
    ///
    /// - Returns: false where one could not be read; it stays unchecked.
    func checkFoundFiles(named name: String? = nil) async -> Bool {
        var isSound = true
        for entry in library.entries
        where entry.row.check == .unchecked && (name == nil || name == entry.row.name) {
            do throws(PetalsError) {
                try await check(entry)
            } catch {
                isSound = false
                logger.warning(
                    "“\(entry.row.name)” could not be compared with its SHA-256: \(error.message)")
            }
        }
        return isSound
    }

    private func check(_ entry: ModelLibrary.Entry) async throws(PetalsError) {
        guard let record = entry.found, let blob = store.blob(record.blobID), blob.hasAllData else {
            return
        }
        let isRight = try await onThread { [self] () throws(PetalsError) -> Bool? in
            do throws(PetalsError) {
                let digest = try blob.readPlaintextDigest(of: record) {
                    !isStopping.load(ordering: .relaxed)
                }
                return digest.map { $0 == record.sha256 }
            } catch {
                // Frames that are as they were sealed and do not decode are no file.
                guard error.code == .corrupt else { throw error }
                return false
            }
        }
        guard let isRight else { return }
        try store.registry.setCheck(
            isRight ? .checked : .mismatch, of: entry.row.name, manifestID: entry.row.manifestID)
        try library.reload()
        if isRight {
            logger.info("“\(entry.row.name)” is the file with SHA-256 \(record.sha256.hex)")
        } else if let refusal = library.refusal(of: entry.row) {
            logger.error("\(refusal.message)")
        }
    }
}

extension ModelLibrary {
    /// Why a model may not be read: it was found by a SHA-256 that its content does not have.
    func refusal(of row: ModelRow) -> PetalsError? {
        guard let entry = current(row), entry.row.check == .mismatch, let record = entry.found
        else { return nil }
        let hex = record.sha256.hex
        return PetalsError(
            .corrupt,
            "“\(row.name)” is not the file with SHA-256 \(hex), but what a peer gave for it; "
                + "`petalsfs add sha256:\(hex) --name \(row.name)` looks for the right one")
    }
}

extension ModelLibrary.Entry {
    /// The records that are given to whoever knows the SHA-256 of a file.
    ///
    /// What was found by it is passed on only when it was checked.
    var offeredRecords: [FileRecord] {
        row.check == nil || row.check == .checked ? records : []
    }
}
