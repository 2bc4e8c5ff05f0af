package import PetalsCore

/// The bytes of one file, whoever has them.
///
/// A content is shared by everybody who has the file open, and lives as long as somebody has.
/// Ranges are never empty and always inside `0..<size`. Calls come from many threads at once.
package protocol FileContent: Sendable {
    /// Bytes of the file; never changes.
    var size: Int { get }

    /// Bytes of the file that can be read without a peer. Answers from memory.
    var cachedBytes: Int { get }

    /// Answers from memory and disk without waiting; false where something must be fetched first.
    ///
    /// Called on a FUSE thread. The buffer has exactly `range.count` bytes, and true promises that
    /// all of them were written.
    ///
    /// - Throws: `PetalsError`, which becomes the read's answer.
    func readIfPresent(
        _ range: Range<Int>, into buffer: UnsafeMutableRawBufferPointer
    ) throws(PetalsError) -> Bool

    /// Waits for the bytes and returns exactly `range.count` of them.
    ///
    /// Cancelling the task ends the wait at once; what is being fetched may go on in the
    /// background.
    ///
    /// - Throws: `PetalsError.cancelled`; `.timedOut` once `deadline` has passed; or whatever else
    ///   makes these bytes unreadable. The error becomes the read's answer.
    func read(
        _ range: Range<Int>, deadline: ContinuousClock.Instant?
    ) async throws(PetalsError) -> [UInt8]
}

/// A file whose bytes are in memory: one inlined in a manifest, or made for this open.
struct MemoryContent: FileContent {
    let bytes: [UInt8]

    var size: Int { bytes.count }
    var cachedBytes: Int { bytes.count }

    func readIfPresent(
        _ range: Range<Int>, into buffer: UnsafeMutableRawBufferPointer
    ) throws(PetalsError) -> Bool {
        // SAFETY: slicing `bytes` checks the range; the buffer's bounds are its own, and the copy
        // ends at the shorter of the two.
        unsafe buffer.copyBytes(from: bytes[range])
        return true
    }

    func read(
        _ range: Range<Int>, deadline: ContinuousClock.Instant?
    ) async throws(PetalsError) -> [UInt8] {
        Array(bytes[range])
    }
}
