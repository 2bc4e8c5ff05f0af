internal import PetalsCodec
internal import PetalsCore
internal import PetalsStore
internal import Synchronization

/// Seals one file into a blob; the two passes of `Publisher`.
struct BlobPublisher {
    /// A file that is a blob of the store now.
    struct Sealed {
        let row: BlobRow
        let source: SourceRow
        let isReused: Bool
        /// Bytes of the stored stream that an earlier attempt had sealed.
        var resumedBytes = 0
    }

    let publisher: Publisher
    let options: Publisher.Options
    let meter: ProgressMeter

    private var store: Store { publisher.store }

    /// The name under which the same publication of the same file finds its draft again.
    func draftName(of file: SourceListing.File) -> Digest {
        let shards = options.shards.map { "\($0.data)/\($0.group)" } ?? ""
        let parts =
            [
                "petalsfs draft v1", file.path, file.modelPath.description,
                options.isPrivate ? "private" : "public", shards,
            ] + (options.parity == .none ? ["no parity"] : [])
        return sha256(Array(parts.joined(separator: "\0").utf8))
    }

    /// Publishes a file, or goes on where that was interrupted.
    ///
    /// - Parameter claim: the draft of `draftName(of:)`; the caller discards it when the model is
    ///   registered. A draft of a file that has changed, or that filled the disk, is discarded
    ///   here.
    func publish(
        _ file: SourceListing.File, claim: DraftClaim
    ) throws(PetalsError) -> Sealed {
        do throws(PetalsError) {
            return try seal(file, claim)
        } catch {
            if error.code == .noSpace || error.code == .badInput {
                // The first failure is the one to report; what stays is removed at the next start.
                try? claim.discard()
            }
            throw error
        }
    }

    private func seal(
        _ file: SourceListing.File, _ claim: DraftClaim
    ) throws(PetalsError) -> Sealed {
        let disk = try PublishedFile(opening: file.path)
        let stamp = try disk.readStamp()
        if let known = try findUnchanged(file, stamp) {
            meter.add(2 * file.size)
            return known
        }
        let reader = StreamReader(file: disk, path: file.path, size: stamp.size, stamp: stamp)
        let kept = try keptJournal(of: claim, file, stamp)
        let journal: DraftJournal
        if let kept {
            journal = kept
            meter.add(file.size)
        } else {
            journal = try survey(reader)
        }
        let relayKey = journal.relayKey
        if let blob = store.allBlobs().first(where: { $0.relayKey == relayKey }) {
            let source = source(of: journal, blob.id)
            if try reuse(blob, source) {
                if options.parity == .none { blob.dropParity() }
                meter.add(file.size)
                return Sealed(row: Self.row(blob), source: source, isReused: true)
            }
        }
        if kept == nil { try claim.begin(journal) }
        let draft = try store.openDraft(claim, journal: journal)
        let pipeline = BlockPipeline(
            geometry: journal.geometry, blobKey: journal.record.blobKey)
        let resumed = Atomic<Int>(0)
        try draft.findSealedRows { [meter] row in
            let bytes = pipeline.streamRange(of: row).count
            resumed.wrappingAdd(bytes, ordering: .relaxed)
            meter.add(stored: bytes, of: journal.record)
        }
        try SealingPass(reader: reader, draft: draft, pipeline: pipeline, meter: meter).run()
        guard try reader.isUnchanged() else { throw reader.changed }
        let (row, record) = try draft.finish()
        let source = source(of: journal, record.blobID)
        try store.adopt(draft, as: row, source: source)
        return Sealed(
            row: row, source: source, isReused: false,
            resumedBytes: resumed.load(ordering: .relaxed))
    }

    /// What an interrupted publication of this very file knew after its first pass.
    private func keptJournal(
        of claim: DraftClaim, _ file: SourceListing.File, _ stamp: FileStamp
    ) throws(PetalsError) -> DraftJournal? {
        guard let journal = try claim.readJournal(), journal.path == file.path,
            journal.stamp == stamp, journal.record.size == stamp.size,
            journal.keepsParity == (options.parity == .stored),
            try journal.geometry == geometry(storedLength: journal.geometry.storedLength)
        else { return nil }
        return journal
    }

    private func geometry(storedLength: Int) throws(PetalsError) -> BlobGeometry {
        try BlobGeometry.standard(
            storedLength: storedLength, dataShards: options.shards?.data,
            groupShards: options.shards?.group)
    }

    private func survey(_ reader: StreamReader) throws(PetalsError) -> DraftJournal {
        let survey = try FileSurvey(of: reader, meter: meter)
        let geometry = try geometry(storedLength: survey.frames.storedLength)
        let key =
            options.isPrivate
            ? SecretKey.random()
            : KeyDerivation.blobKey(storedSHA256: survey.storedSHA256, geometry: geometry)
        return DraftJournal(
            path: reader.path, stamp: reader.stamp, geometry: geometry,
            record: FileRecord(
                size: reader.size, sha256: survey.sha256, frames: survey.frames, blobID: .zero,
                blobKey: key, storedSHA256: options.isPrivate ? nil : survey.storedSHA256),
            sums: survey.sums, keepsParity: options.parity == .stored)
    }

    private func source(of journal: DraftJournal, _ id: BlobID) -> SourceRow {
        SourceRow(
            blobID: id, path: journal.path, stamp: journal.stamp,
            record: journal.completed(id).record)
    }

    private static func row(_ blob: StoredBlob) -> BlobRow {
        BlobRow(blobID: blob.id, relayKey: blob.relayKey, descriptor: blob.sealedDescriptor)
    }

    // MARK: What is here already

    /// The blob of this very file, when it was published before and has not changed.
    private func findUnchanged(
        _ file: SourceListing.File, _ stamp: FileStamp
    ) throws(PetalsError) -> Sealed? {
        guard !options.isPrivate, options.shards == nil else { return nil }
        for source in try store.registry.sources()
        where source.path == file.path && source.stamp == stamp && !source.isStale {
            guard let blob = store.blob(source.blobID), isWhole(blob),
                source.record.isPublic(in: blob.geometry)
            else { continue }
            if options.parity == .none { blob.dropParity() }
            return Sealed(row: Self.row(blob), source: source, isReused: true)
        }
        return nil
    }

    /// Makes a blob that is here serve from this file; false when parts of it are missing.
    private func reuse(_ blob: StoredBlob, _ source: SourceRow) throws(PetalsError) -> Bool {
        let parity = blob.geometry.shards.filter { !blob.geometry.isData($0) }
        switch options.parity {
        case .stored:
            guard parity.allSatisfy({ blob.holdings(of: $0).isComplete }) else { return false }
        case .none:
            guard parity.allSatisfy({ blob.layer(of: $0) != nil }) else { return false }
        }
        return try store.restore(blob, from: source) && isWhole(blob)
    }

    /// Whether all is here that this publication keeps.
    private func isWhole(_ blob: StoredBlob) -> Bool {
        blob.geometry.shards.allSatisfy { shard in
            blob.holdings(of: shard).isComplete
                || (options.parity == .none && !blob.geometry.isData(shard))
        }
    }
}
