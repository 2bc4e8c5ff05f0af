internal import PetalsCodec
internal import PetalsCore
internal import PetalsStore
internal import Synchronization

/// The second pass over a file: seals the rows that are not sealed yet, and keeps them.
///
/// Rows do not depend on each other, so each core takes the next one and does all of it: read,
/// code, encrypt, add parity, hash, write. While one waits for the disk, another computes.
struct SealingPass: Sendable {
    let reader: StreamReader
    let draft: BlobDraft
    let pipeline: BlockPipeline
    let meter: ProgressMeter

    /// Rows sealed at the same time, each on a core of its own: one of 16 + 8 cells takes 6 MiB.
    private static let rowsAtOnceMax = 8
    /// Bytes of neighbouring rows that one core takes at once: the frames on their borders are
    /// coded on both sides.
    private static let runBytes = 4 << 20

    /// Seals all rows that are missing.
    ///
    /// - Throws: `PetalsError.badInput` where the file is not what it was in the first pass,
    ///   `.noSpace` or `.system` from the disk.
    func run() throws(PetalsError) {
        let rows = draft.missingRows
        let rowBytes = pipeline.geometry.dataShards * Limits.cellBytes
        let runLength = max(1, Self.runBytes / rowBytes)
        let next = Atomic<Int>(0)
        let hasFailed = Atomic<Bool>(false)
        try concurrently(Self.rowsAtOnceMax) { (_) throws(PetalsError) in
            var sealer: RowSealer?
            while !hasFailed.load(ordering: .relaxed) {
                let first = next.wrappingAdd(runLength, ordering: .relaxed).oldValue
                guard first < rows.count else { return }
                let own = sealer ?? RowSealer(pipeline)
                sealer = own
                do throws(PetalsError) {
                    try seal(rows[first..<min(first + runLength, rows.count)], with: own)
                } catch {
                    hasFailed.store(true, ordering: .relaxed)
                    throw error
                }
            }
        }
    }

    private func seal(
        _ rows: ArraySlice<RowIndex>, with sealer: RowSealer
    ) throws(PetalsError) {
        var stream = StoredStream(reader: reader, journal: draft.journal)
        for row in rows {
            let range = pipeline.streamRange(of: row)
            // SAFETY: the sealer lends a buffer of the range's length until the closure returns.
            try unsafe sealer.seal(row) { (buffer) throws(PetalsError) in
                try unsafe stream.read(range, into: buffer)
            }
            try draft.write(sealer)
            meter.add(stored: range.count, of: draft.journal.record)
        }
    }
}

/// The stored stream of a file as the first pass saw it, read from any offset.
private struct StoredStream {
    let reader: StreamReader
    let journal: DraftJournal
    /// The frame that was coded last: neighbouring rows share one.
    private var last: (frame: Int, coded: [UInt8])?

    init(reader: StreamReader, journal: DraftJournal) {
        self.reader = reader
        self.journal = journal
    }

    /// Reads a row's range of the stream, which in a raw file begins and ends with a frame.
    ///
    /// - Throws: `PetalsError.badInput` where the file has changed since it was surveyed.
    mutating func read(
        _ range: Range<Int>, into target: UnsafeMutableRawBufferPointer
    ) throws(PetalsError) {
        let table = journal.record.frames
        if table.codec == .raw {
            // SAFETY: the caller owns the target during the call.
            try unsafe reader.read(into: target, at: range.lowerBound)
        }
        for frame in table.frames(coveringStored: range) {
            let place = table.storedRange(frame: frame)
            let wanted = place.clamped(to: range)
            // SAFETY: the wanted part of the frame lies inside the range, which is as long as the
            // target; slicing checks it.
            let part = unsafe UnsafeMutableRawBufferPointer(
                rebasing: target[
                    wanted.lowerBound - range.lowerBound..<wanted.upperBound - range.lowerBound])
            if table.codec == .raw {
                let sum = unsafe crc64(UnsafeRawBufferPointer(part).bytes)
                guard sum == journal.sums[frame] else { throw reader.changed }
            } else {
                let coded = try codeFrame(frame)
                let start = wanted.lowerBound - place.lowerBound
                unsafe part.copyBytes(from: coded[start..<start + wanted.count])
            }
        }
    }

    private mutating func codeFrame(_ frame: Int) throws(PetalsError) -> [UInt8] {
        if let last, last.frame == frame { return last.coded }
        let table = journal.record.frames
        let coded = FrameCoder.encode(try reader.readFrame(frame), codec: table.codec)
        guard coded.count == table.storedRange(frame: frame).count,
            crc64(coded) == journal.sums[frame]
        else { throw reader.changed }
        last = (frame, coded)
        return coded
    }
}
