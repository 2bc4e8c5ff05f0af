internal import PetalsCodec
internal import PetalsCore
internal import Synchronization

/// A published file from which the data cells of its blob are made when they are asked for.
///
/// A raw file's stored stream is the file. A coded file's frames are compressed again: the same
/// library gives the same bytes, and the leaf hashes of the publication decide whether it did.
/// Nothing that this reads is verified; `StoredBlob` compares it with those hashes.
final class InPlaceSource: Sendable {
    let row: SourceRow
    private let pipeline: BlockPipeline
    private let recent = Mutex(RecentFrames())

    /// Makes the source of a blob.
    ///
    /// - Throws: `.corrupt` where the file's record does not fit the blob.
    init(_ row: SourceRow, descriptor: BlobDescriptor) throws(PetalsError) {
        try BlockPipeline.check(row.record, against: descriptor)
        self.row = row
        pipeline = BlockPipeline(geometry: descriptor.geometry, blobKey: row.record.blobKey)
    }

    /// Whether an open file is still the one that was published.
    func isCurrent(_ file: DiskFile) throws(PetalsError) -> Bool {
        try file.readStamp() == row.stamp
    }

    /// What to say when it is not.
    func error(_ state: SourceState) -> PetalsError {
        PetalsError(
            .unavailable,
            StaleSource(blobID: row.blobID, path: row.path, state: state).text)
    }

    /// What is known of the file by its path, without reading it.
    func readState() throws(PetalsError) -> SourceState {
        do throws(PetalsError) {
            return try FileStamp(readingFileAt: row.path) == row.stamp ? .current : .changed
        } catch {
            if error.code == .notFound { return .missing }
            throw error
        }
    }

    /// Leaves of a data cell as they were sealed, if the file is what it was.
    ///
    /// - Throws: `.unavailable` when the file has changed, `.system` when it cannot be read.
    func readSealed(
        _ address: CellAddress, leaves: Range<Int>, from file: DiskFile
    ) throws(PetalsError) -> [UInt8] {
        guard try isCurrent(file) else { throw error(.changed) }
        let stored = pipeline.streamRange(of: address, leaves: leaves)
        let stream = try readStream(stored, from: file)
        guard stream.count == stored.count else { throw error(.damaged) }
        return pipeline.sealLeaves(of: address, leaves: leaves, stream: stream)
    }

    /// A range of the stored stream; shorter where the file is.
    private func readStream(
        _ stored: Range<Int>, from file: DiskFile
    ) throws(PetalsError) -> [UInt8] {
        guard !stored.isEmpty else { return [] }
        let table = row.record.frames
        if table.codec == .raw {
            return try file.read(count: stored.count, at: stored.lowerBound)
        }
        var stream: [UInt8] = []
        stream.reserveCapacity(stored.count)
        for frame in table.frames(coveringStored: stored) {
            let coded = try readFrame(frame, from: file)
            let range = table.storedRange(frame: frame)
            guard coded.count == range.count else { throw error(.damaged) }
            let wanted = range.clamped(to: stored)
            stream +=
                coded[
                    wanted.lowerBound - range.lowerBound..<wanted.upperBound - range.lowerBound]
        }
        return stream
    }

    private func readFrame(_ frame: Int, from file: DiskFile) throws(PetalsError) -> [UInt8] {
        if let coded = recent.withLock({ $0.find(frame) }) { return coded }
        let table = row.record.frames
        let range = table.plainRange(frame: frame)
        let plain = try file.read(count: range.count, at: range.lowerBound)
        guard plain.count == range.count else { throw error(.damaged) }
        // A frame that is stored raw is told by its length, whatever the codec made of it then.
        let isRaw = table.storedRange(frame: frame).count == plain.count
        let coded = isRaw ? plain : FrameCoder.encode(plain, codec: table.codec)
        recent.withLock { $0.add(frame, coded) }
        return coded
    }
}

/// The frames that were coded last: neighbouring cells share one.
private struct RecentFrames: Sendable {
    /// 8 frames are 2 MiB, enough for the cells of a row that are read side by side.
    static let limit = 8

    private var frames: [(frame: Int, coded: [UInt8])] = []

    func find(_ frame: Int) -> [UInt8]? {
        frames.first { $0.frame == frame }?.coded
    }

    mutating func add(_ frame: Int, _ coded: [UInt8]) {
        if frames.count == Self.limit { frames.removeFirst() }
        frames.append((frame, coded))
    }
}
