internal import Dispatch
internal import PetalsCodec
internal import PetalsCore
internal import PetalsStore
internal import Synchronization

/// Seals one file into a blob; the three passes of `Publisher`.
struct BlobPublisher {
    /// A file that is a blob of the store now.
    struct Sealed {
        let row: BlobRow
        let source: SourceRow
        let isReused: Bool
    }

    /// What the survey found out.
    struct Survey {
        let sha256: Digest
        let storedSHA256: Digest
        let frames: FrameTable
    }

    /// Rows sealed at the same time, each on its own core: a row of 16 + 8 cells takes 10 MiB.
    static let rowsAtOnce = 2
    /// Frames read and coded at the same time.
    static let framesAtOnce = 16
    /// Frames tried for the codec, spread evenly over the file.
    static let samplesMax = 16
    /// A coded file takes at most this share of its plaintext: below 3 % saved, raw is better.
    static let worthwhileShare = 0.97

    let publisher: Publisher
    let options: Publisher.Options
    let meter: ProgressMeter

    private var store: Store { publisher.store }

    func publish(_ file: SourceListing.File) throws(PetalsError) -> Sealed {
        let disk = try PublishedFile(opening: file.path)
        let stamp = try disk.readStamp()
        if let known = try findUnchanged(file, stamp) {
            meter.add(3 * file.size)
            return known
        }
        let reader = StreamReader(file: disk, path: file.path, size: stamp.size, stamp: stamp)
        let survey = try survey(reader)
        let geometry = try BlobGeometry.standard(
            storedLength: survey.frames.storedLength, dataShards: options.shards?.data,
            groupShards: options.shards?.group)
        let key =
            options.isPrivate
            ? SecretKey.random()
            : KeyDerivation.blobKey(storedSHA256: survey.storedSHA256, geometry: geometry)
        let relayKey = KeyDerivation.relayKey(of: key)
        if let blob = store.allBlobs().first(where: { $0.relayKey == relayKey }) {
            let source = source(blob.id, file, stamp, survey, key)
            if try reuse(blob, source) {
                meter.add(2 * file.size)
                return Sealed(row: Self.row(blob), source: source, isReused: true)
            }
        }
        let pipeline = BlockPipeline(geometry: geometry, blobKey: key)
        var builder = TreeBuilder(geometry: geometry)
        let digest = try eachRow(reader, survey.frames, pipeline) { builder.add($0) }
        guard digest == survey.storedSHA256 else { throw SourceListing.changed(file.path) }
        let (sealedDescriptor, id) = SealedDescriptor.seal(
            builder.descriptor(), relayKey: relayKey)
        let source = source(id, file, stamp, survey, key)
        let blob = try store.blob(id: id, relayKey: relayKey, descriptor: sealedDescriptor)
        try fill(
            blob, source, builder.layers(), storedSHA256: survey.storedSHA256, reader: reader,
            pipeline: pipeline)
        return Sealed(row: Self.row(blob), source: source, isReused: false)
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
                isPublic(source.record, blob)
            else { continue }
            return Sealed(row: Self.row(blob), source: source, isReused: true)
        }
        return nil
    }

    /// Whether a blob's key is the one that anybody derives from its content, as far as that can be
    /// told without reading it: a raw file's stored stream is the file.
    private func isPublic(_ record: FileRecord, _ blob: StoredBlob) -> Bool {
        record.frames.codec == .raw
            && KeyDerivation.blobKey(storedSHA256: record.sha256, geometry: blob.geometry)
                == record.blobKey
    }

    /// Makes a blob that is here serve from this file; false when parts of it are missing.
    private func reuse(_ blob: StoredBlob, _ source: SourceRow) throws(PetalsError) -> Bool {
        let parityIsHere = (0..<blob.geometry.shardCount).map { ShardIndex($0) }
            .filter { !blob.geometry.isData($0) }
            .allSatisfy { blob.holdings(of: $0).isComplete }
        guard parityIsHere else { return false }
        if blob.sourcePath == nil { try blob.attach(source) }
        return isWhole(blob)
    }

    private func isWhole(_ blob: StoredBlob) -> Bool {
        (0..<blob.geometry.shardCount).allSatisfy {
            blob.holdings(of: ShardIndex($0)).isComplete
        }
    }

    private func source(
        _ id: BlobID, _ file: SourceListing.File, _ stamp: FileStamp, _ survey: Survey,
        _ key: SecretKey
    ) -> SourceRow {
        SourceRow(
            blobID: id, path: file.path, stamp: stamp,
            record: FileRecord(
                size: stamp.size, sha256: survey.sha256, frames: survey.frames, blobID: id,
                blobKey: key))
    }

    private static func row(_ blob: StoredBlob) -> BlobRow {
        BlobRow(blobID: blob.id, relayKey: blob.relayKey, descriptor: blob.sealedDescriptor)
    }

    // MARK: Passes

    /// The first pass: codec, digests, frame lengths.
    private func survey(_ reader: StreamReader) throws(PetalsError) -> Survey {
        let codec = FrameCoder.chooseCodec(samples: try reader.samples(Self.samplesMax))
        var plain = StreamingSHA256()
        var stored = StreamingSHA256()
        var lengths: [UInt32] = []
        try reader.eachBatch(codec: codec, frames: Self.framesAtOnce) { batch in
            for frame in batch {
                plain.update(frame.plain)
                guard codec != .raw else { continue }
                stored.update(frame.coded)
                lengths.append(UInt32(clamping: frame.coded.count))
            }
            meter.add(batch.reduce(0) { $0 + $1.plain.count })
        }
        let sha256 = plain.finalize()
        let storedLength = lengths.reduce(0) { $0 + Int($1) }
        // The samples promised more than the file kept: a raw file is read leaf by leaf.
        // And a terabyte's frame table would not fit into a manifest.
        guard codec != .raw, Double(storedLength) <= Self.worthwhileShare * Double(reader.size),
            lengths.count * 4 <= Limits.manifestBytesMax / 4
        else {
            return Survey(
                sha256: sha256, storedSHA256: sha256,
                frames: try FrameTable(size: reader.size, codec: .raw, lengths: []))
        }
        return Survey(
            sha256: sha256, storedSHA256: stored.finalize(),
            frames: try FrameTable(size: reader.size, codec: codec, lengths: lengths))
    }

    /// Seals the file row by row and hands the rows over in order.
    ///
    /// - Returns: the SHA-256 of the stored stream as it was this time.
    private func eachRow(
        _ reader: StreamReader, _ frames: FrameTable, _ pipeline: BlockPipeline,
        body: (SealedRow) throws(PetalsError) -> Void
    ) throws(PetalsError) -> Digest {
        var digest = StreamingSHA256()
        var stream = StoredStream(reader: reader, frames: frames)
        let rowCount = pipeline.geometry.rowCount
        for first in stride(from: 0, to: rowCount, by: Self.rowsAtOnce) {
            let rows = (first..<min(first + Self.rowsAtOnce, rowCount)).map { RowIndex($0) }
            var pieces: [[UInt8]] = []
            for row in rows {
                let piece = try stream.take(pipeline.streamRange(of: row).count)
                digest.update(piece)
                pieces.append(piece)
            }
            let streams = pieces
            let sealed = concurrentMap(rows.count) {
                pipeline.sealRow(rows[$0], stream: streams[$0])
            }
            for row in sealed { try body(row) }
            let share = Double(reader.size) / Double(max(frames.storedLength, 1))
            meter.add(Int(Double(streams.reduce(0) { $0 + $1.count }) * share))
        }
        return digest.finalize()
    }

    /// The third pass: keeps the trees, and the parity shards.
    private func fill(
        _ blob: StoredBlob, _ source: SourceRow, _ layers: [CellLayer], storedSHA256: Digest,
        reader: StreamReader, pipeline: BlockPipeline
    ) throws(PetalsError) {
        try blob.attach(source)
        for layer in layers { try blob.keep(layer) }
        let shards = (0..<blob.geometry.shardCount).map { ShardIndex($0) }
        try store.setClass(.seeded, of: shards, blob: blob.id)
        let digest = try eachRow(reader, source.record.frames, pipeline) {
            (row) throws(PetalsError) in
            for cell in row.cells { try blob.write(cell) }
        }
        guard digest == storedSHA256, try reader.isUnchanged() else {
            throw SourceListing.changed(source.path)
        }
        try blob.flush()
    }
}
