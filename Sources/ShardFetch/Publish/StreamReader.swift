internal import Dispatch
internal import PetalsCodec
internal import PetalsCore
internal import PetalsStore
internal import Synchronization

/// Reads the frames of a file that is being published.
struct StreamReader: Sendable {
    let file: PublishedFile
    let path: String
    /// Bytes of plaintext.
    let size: Int
    let stamp: FileStamp

    var frameCount: Int { ceilDivide(size, Limits.frameBytes) }

    /// Whether the file is still what it was when it was opened.
    func isUnchanged() throws(PetalsError) -> Bool { try file.readStamp() == stamp }

    /// What to say when it is not.
    var changed: PetalsError { SourceListing.changed(path) }

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

    /// Reads the plaintext of a frame.
    func readFrame(_ frame: Int) throws(PetalsError) -> [UInt8] {
        let start = frame * Limits.frameBytes
        let count = min(Limits.frameBytes, size - start)
        let bytes = try file.read(count: count, at: start)
        guard bytes.count == count else { throw changed }
        return bytes
    }

    /// Reads plaintext straight to where it is wanted.
    func read(
        into target: UnsafeMutableRawBufferPointer, at offset: Int
    ) throws(PetalsError) {
        // SAFETY: the caller owns the target during the call.
        guard try unsafe file.read(into: target, at: offset) == target.count else { throw changed }
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

/// Runs `work` on all cores, and throws the first failure of any.
func concurrently(
    _ count: Int, _ work: @escaping @Sendable (Int) throws(PetalsError) -> Void
) throws(PetalsError) {
    let failure = Mutex<PetalsError?>(nil)
    DispatchQueue.concurrentPerform(iterations: count) { index in
        do throws(PetalsError) {
            try work(index)
        } catch {
            failure.withLock { $0 = $0 ?? error }
        }
    }
    if let failure = failure.withLock({ $0 }) { throw failure }
}
