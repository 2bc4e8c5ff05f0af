internal import Foundation
internal import Logging
internal import PetalsCodec
package import PetalsCore
internal import Synchronization

/// From the first row of a publication to a blob of the store.
extension Store {
    /// Claims the draft of a name, be there one or not.
    ///
    /// - Throws: `.busy` where somebody works on it.
    package func claimDraft(_ name: Digest) throws(PetalsError) -> DraftClaim {
        try DraftClaim(name, context: context)
    }

    /// Opens a draft, to go on with it: none of its rows counts as sealed until
    /// `findSealedRows` has looked.
    ///
    /// - Parameter journal: what the draft was begun with.
    /// - Throws: `.noSpace` or `.system` from the disk.
    package func openDraft(
        _ claim: DraftClaim, journal: DraftJournal
    ) throws(PetalsError) -> BlobDraft {
        try BlobDraft(claim, journal: journal, number: takeNumber())
    }

    /// Makes a finished draft a blob of the store, whose data shards come from the published file.
    ///
    /// No model uses it yet; its journal saves it from the garbage collection until one does, so
    /// the caller registers one and discards the claim then.
    ///
    /// - Throws: `.corrupt` where the record of the source does not fit the blob; `.noSpace` or
    ///   `.system` from the disk.
    @discardableResult
    package func adopt(
        _ draft: BlobDraft, as row: BlobRow, source: SourceRow
    ) throws(PetalsError) -> StoredBlob {
        try opening.hold { () throws(PetalsError) in
            let shards = draft.geometry.shards
            // With its source: a blob that is whole only with it never stands without.
            try registry.adopt(row, source: source, shards: shards)
            if let blob = blob(row.blobID) {
                try blob.attach(source)
                try blob.takeFiles(of: draft)
                blob.applyClass(.seeded, of: shards)
                return blob
            }
            let folder = context.folder.blobsFolder + "/" + row.blobID.hex
            try Disk.removeFolder(folder)
            try Disk.move(draft.folder, to: folder, faults: context.folder.faults)
            try Disk.syncFolder(context.folder.blobsFolder)
            try draft.leave()
            let blob = try openBlob(row, descriptor: row.descriptor ?? [], source: source)
            blob.openAll()
            return blob
        }
    }

    // MARK: Starting

    /// Enters what interrupted publications have on the disk in the accounts.
    func countDrafts() throws(PetalsError) {
        for name in try draftNames() {
            let claim = try claimDraft(name)
            guard let journal = try claim.readJournal(), try isUnfinished(claim, journal) else {
                continue
            }
            let draft = try openDraft(claim, journal: journal)
            let bytes = try draft.countSealed()
            try draft.freeStrayRows()
            context.drafts.withLock { $0.bytes[name] = bytes }
            // Only what is cached could be refused.
            context.ledger.withLock { _ = $0.admit(bytes, BlobDraft.anyCell, as: .seeded) }
        }
    }

    /// Removes drafts that nobody can go on with: the file has changed, the journal is damaged, or
    /// a week has passed.
    ///
    /// - Returns: the blobs that were finished, and of which only the model is missing.
    func collectDrafts() throws(PetalsError) -> Set<BlobID> {
        let used = try registry.usedBlobs()
        var spared: Set<BlobID> = []
        for name in try draftNames() {
            let claim = try claimDraft(name)
            if let journal = try claim.readJournal(), try isWorthwhile(claim, journal) {
                if try isUnfinished(claim, journal) { continue }
                if let id = journal.blobID, blob(id) != nil, !used.contains(id) {
                    spared.insert(id)
                    continue
                }
            }
            context.logger.info("removes the interrupted publication \(name.short)")
            try claim.discard()
        }
        let folder = context.folder.publishingFolder
        for name in try Disk.names(in: folder) where name.contains(Disk.temporaryMark) {
            try Disk.removeFile(folder + "/" + name)
        }
        return spared
    }

    /// The names of all drafts, be they whole or in pieces.
    private func draftNames() throws(PetalsError) -> [Digest] {
        let names = try Disk.names(in: context.folder.publishingFolder)
        return Set(names.compactMap { Digest(hex: $0.prefix { $0 != "." }) }).sorted()
    }

    /// Whether the files are still the draft's, and not a blob's.
    private func isUnfinished(
        _ claim: DraftClaim, _ journal: DraftJournal
    ) throws(PetalsError) -> Bool {
        if journal.blobID == nil { return true }
        return try !Disk.names(in: claim.folder).isEmpty
    }

    private func isWorthwhile(
        _ claim: DraftClaim, _ journal: DraftJournal
    ) throws(PetalsError) -> Bool {
        // A file that cannot be looked at cannot be published either.
        guard let stamp = try? FileStamp(readingFileAt: journal.path), stamp == journal.stamp,
            let file = try DiskFile.open(claim.journalFile, .reading)
        else { return false }
        let written = try file.readStamp().modified / 1_000_000_000
        return Int(Date().timeIntervalSince1970) - written < Limits.draftSecondsMax
    }
}

extension StoredBlob {
    /// Puts the files of a finished draft in place of this blob's own, which are parts of the same.
    func takeFiles(of draft: BlobDraft) throws(PetalsError) {
        // A draft without parity has none to put in place of what is here.
        let shards = geometry.shards.filter { shard in
            draft.journal.keepsParity || geometry.isData(shard) || layer(of: shard) == nil
        }
        try opening.hold { () throws(PetalsError) in
            try holdingAllStripes { () throws(PetalsError) in
                try emptying(shards) { () throws(PetalsError) in
                    for shard in shards {
                        for kind in [FileTable.Kind.data, .tree] {
                            if kind == .data, geometry.isData(shard) || !draft.journal.keepsParity {
                                continue
                            }
                            try Disk.move(
                                draft.path(shard, kind), to: path(shard, kind),
                                faults: context.folder.faults)
                        }
                    }
                    context.files.forget { [number] in $0.blob == number && $0.kind != .source }
                }
                try draft.leave()
                for shard in shards {
                    let forgotten = state.withLock { $0.maps[shard]?.forgotten ?? 0 }
                    var map = try readMap(shard)
                    map.forgotten = forgotten
                    state.withLock { _ = $0.known.insert(shard) }
                    install(map, shard)
                }
            }
        }
        try Disk.removeFolder(draft.folder)
        try Disk.syncFolder(folder)
        noteChange()
    }
}
