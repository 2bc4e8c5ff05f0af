internal import Glibc
internal import NIOCore

/// How glibc's allocator keeps memory between two uses (mallopt(3)).
///
/// Bytes travel through this program in pieces of 64 KiB to 1 MiB that live for milliseconds. Left
/// to itself, glibc gives such pieces back to the kernel when they are freed, and each new one is
/// paid for again page by page: a tenth of the time of a cold read (docs/decisions/8). Kept, they
/// are used again at once; what is kept is bounded by what was in use at one moment.
///
/// And it gives eight heaps to each core, in each of which some of that lies idle. Here a core has
/// one, of which more threads than run at a time would have no use.
package enum Allocator {
    /// Pieces up to this size come from the heap; the most that glibc accepts.
    private static let largestHeapPiece: CInt = 32 << 20
    /// Free bytes at the end of a heap before they go back to the kernel.
    private static let keptBytes: CInt = 64 << 20
    /// Bytes by which a heap grows.
    private static let growthBytes: CInt = 4 << 20

    /// Sets the allocator up; before the first thread.
    package static func keepMemory() {
        // SAFETY: glibc has exported mallopt with exactly this C type since 2.0, and a null handle
        // means the whole program. <malloc.h> is not in Swift's Glibc module.
        let mallopt = unsafe dlsym(nil, "mallopt").map {
            unsafe unsafeBitCast($0, to: (@convention(c) (CInt, CInt) -> CInt).self)
        }
        // M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD and M_ARENA_MAX. Where libc refuses, it is
        // only slower, or larger.
        _ = mallopt?(-1, keptBytes)
        _ = mallopt?(-2, growthBytes)
        _ = mallopt?(-3, largestHeapPiece)
        _ = mallopt?(-8, CInt(clamping: max(2, System.coreCount)))
    }
}
