package import Synchronization

/// Counters of what was fetched since the start.
package final class FetchMetrics: Sendable {
    /// Bytes that came from peers and were verified.
    package let verifiedBytes = Atomic<Int>(0)
    /// Leaves that were not what they claimed to be.
    package let damagedLeaves = Atomic<Int>(0)
    /// Cells rebuilt from others of their row.
    package let rebuiltCells = Atomic<Int>(0)
    /// Cells that a read had to wait for.
    package let demandCells = Atomic<Int>(0)

    init() {}
}
