internal import Dispatch
internal import PetalsCodec
internal import PetalsCore
internal import PetalsStore
internal import Synchronization

/// Reads the frames of a file that is being published.
struct StreamReader {
    /// A frame and its stored form.
    struct Frame: Sendable {
        let plain: [UInt8]
        let coded: [UInt8]
    }

    let file: PublishedFile
    let path: String
    /// Bytes of plaintext.
    let size: Int
    let stamp: FileStamp

    var frameCount: Int { ceilDivide(size, Limits.frameBytes) }

    /// Whether the file is still what it was when it was opened.
    func isUnchanged() throws(PetalsError) -> Bool { try file.readStamp() == stamp }

    /// Frames spread evenly over the file, for the choice of a codec.
    ///
    /// The last frame, which may be short, is among them only in a file of one frame.
    func samples(_ count: Int) throws(PetalsError) -> [[UInt8]] {
        let whole = max(size / Limits.frameBytes, 1)
        var samples: [[UInt8]] = []
        for index in 0..<min(count, whole) {
            samples.append(try readFrame(index * whole / min(count, whole)))
        }
        return samples
    }

    /// Goes through the whole file in order, some frames at a time, coding them on all cores.
    func eachBatch(
        codec: FrameCodec, frames count: Int, body: ([Frame]) throws(PetalsError) -> Void
    ) throws(PetalsError) {
        for first in stride(from: 0, to: frameCount, by: count) {
            try body(try readBatch(first..<min(first + count, frameCount), codec: codec))
        }
    }

    /// Reads frames and codes them.
    func readBatch(_ range: Range<Int>, codec: FrameCodec) throws(PetalsError) -> [Frame] {
        var plain: [[UInt8]] = []
        for frame in range { plain.append(try readFrame(frame)) }
        guard codec != .raw else { return plain.map { Frame(plain: $0, coded: $0) } }
        let frames = plain
        return concurrentMap(frames.count) {
            Frame(plain: frames[$0], coded: FrameCoder.encode(frames[$0], codec: codec))
        }
    }

    private func readFrame(_ frame: Int) throws(PetalsError) -> [UInt8] {
        let start = frame * Limits.frameBytes
        let count = min(Limits.frameBytes, size - start)
        let bytes = try file.read(count: count, at: start)
        guard bytes.count == count else { throw SourceListing.changed(path) }
        return bytes
    }
}

/// The stored stream of a file, taken from its start in portions of any length.
struct StoredStream {
    let reader: StreamReader
    let frames: FrameTable
    private var pending: [UInt8] = []
    private var consumed = 0
    private var nextFrame = 0

    init(reader: StreamReader, frames: FrameTable) {
        self.reader = reader
        self.frames = frames
    }

    /// The next `count` bytes.
    ///
    /// - Throws: `PetalsError.badInput` when the file has changed since it was surveyed.
    mutating func take(_ count: Int) throws(PetalsError) -> [UInt8] {
        while pending.count - consumed < count {
            guard nextFrame < reader.frameCount else { throw SourceListing.changed(reader.path) }
            let range =
                nextFrame..<min(nextFrame + BlobPublisher.framesAtOnce, reader.frameCount)
            let batch = try reader.readBatch(range, codec: frames.codec)
            pending.removeFirst(consumed)
            consumed = 0
            for (frame, coded) in zip(range, batch) {
                guard coded.coded.count == frames.storedRange(frame: frame).count else {
                    throw SourceListing.changed(reader.path)
                }
                pending += coded.coded
            }
            nextFrame = range.upperBound
        }
        defer { consumed += count }
        return Array(pending[consumed..<consumed + count])
    }
}

/// Makes `count` values on all cores, in order.
func concurrentMap<Value: Sendable>(
    _ count: Int, _ make: @escaping @Sendable (Int) -> Value
) -> [Value] {
    guard count > 1 else { return (0..<count).map(make) }
    let slots = Mutex([Value?](repeating: nil, count: count))
    DispatchQueue.concurrentPerform(iterations: count) { index in
        let value = make(index)
        slots.withLock { $0[index] = value }
    }
    return slots.withLock { $0 }.compactMap { $0 }
}
