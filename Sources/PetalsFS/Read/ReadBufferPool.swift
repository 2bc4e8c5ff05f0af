internal import Glibc
internal import PetalsCore
internal import PetalsStore

/// Buffers of the kernel's largest read, kept and used again.
///
/// A fresh mebibyte from the system costs 256 page faults, as much time as copying it. A buffer is
/// lent only while a FUSE thread is inside one call, so there are never more than such threads.
final class ReadBufferPool: Sendable {
    /// Page-aligned addresses of idle buffers, all of `Limits.kernelReadBytesMax` bytes.
    ///
    /// Numbers, so that they may cross threads; whoever takes one out owns it.
    private let idle = UnfairLock<[UInt]>([])

    deinit {
        for address in idle.withLock({ $0 }) {
            // SAFETY: idle addresses came from `aligned_alloc` and nobody else has them.
            unsafe free(UnsafeMutableRawPointer(bitPattern: address))
        }
    }

    /// Lends a buffer of `count` bytes for the time of `body`.
    ///
    /// - Throws: what `body` throws, or `PetalsError.system` where memory is short.
    func withBuffer<Result>(
        count: Int, _ body: (UnsafeMutableRawBufferPointer) throws(PetalsError) -> Result
    ) throws(PetalsError) -> Result {
        let pooled = count <= Limits.kernelReadBytesMax
        let kept = pooled ? idle.withLock { $0.popLast() } : nil
        let capacity = pooled ? Limits.kernelReadBytesMax : roundUp(count, to: 4096)
        // SAFETY: an idle buffer is owned by whoever took it out; a new one is owned by this call.
        // Both have at least `count` bytes.
        let owned =
            if let kept {
                unsafe UnsafeMutableRawPointer(bitPattern: kept)
            } else {
                unsafe aligned_alloc(4096, capacity)
            }
        // SAFETY: as above; a null pointer is the only other outcome, and is tested here.
        guard let base = unsafe owned else {
            throw PetalsError(.system, "there is no memory for a read of \(count) bytes")
        }
        // SAFETY: this call owns the buffer and gives it back or frees it when it ends.
        defer {
            if pooled {
                let address = UInt(bitPattern: base)
                idle.withLock { $0.append(address) }
            } else {
                unsafe free(base)
            }
        }
        // SAFETY: `base` has at least `count` bytes, and they are ours until `body` returns.
        return try unsafe body(UnsafeMutableRawBufferPointer(start: base, count: count))
    }
}
