package import PetalsCore

/// Which cells a node has given away a moment ago, so that it gives each once and not to everybody.
///
/// A model that becomes wanted by many has one holder at first, whose uplink all of them share. If
/// each gets from there what others have got from there already, the first copy is complete when
/// nearly all copies are. So while others wait, what nobody waits for is refused as busy when it
/// left for somebody else a moment ago: who got it tells of it within a second, and gives it on.
/// The same for a row of which enough has left that whoever has that can rebuild the rest.
///
/// Nothing is refused to a read that waits, nor while the uplink has nothing else to do. A value
/// machine: time is an argument.
package struct FreshRows: Sendable {
    /// How long a cell that has left is not given to others who can wait.
    package static let holdSeconds: Instant = 120
    /// How long an uplink for which others waited counts as one for which they do: a queue that is
    /// empty for a moment is no reason to give twice.
    static let graceSeconds: Instant = 2
    /// Rows that are remembered, the latest ones: 32,768 are 64 GB at k = 8.
    static let rowsMax = 32_768

    private struct Row: Hashable {
        let blob: BlobID
        let index: RowIndex
    }

    private struct Cell {
        let receiver: PeerID
        let at: Instant
    }

    private var rows: [Row: [Int: Cell]] = [:]
    private var former: [Row: [Int: Cell]] = [:]
    private var contendedUntil = -Instant.infinity

    private let holdSeconds: Instant

    /// Nothing was given yet.
    package init(holdSeconds: Instant = Self.holdSeconds) {
        self.holdSeconds = holdSeconds
    }

    /// Rows that are remembered.
    package var count: Int { rows.count + former.count }

    /// Whether a cell that nobody waits for is given now; if so, that is noted.
    ///
    /// - Parameter isContended: whether others wait for something else.
    package mutating func admits(
        _ address: CellAddress, of blob: BlobID, _ geometry: BlobGeometry, to receiver: PeerID,
        isContended: Bool, now: Instant
    ) -> Bool {
        let row = Row(blob: blob, index: geometry.row(of: address))
        let column = geometry.column(of: address.shard)
        var cells = (rows[row] ?? former[row] ?? [:]).filter {
            now - $0.value.at < holdSeconds
        }
        if isContended { contendedUntil = now + Self.graceSeconds }
        // A receiver may come for the rest of his own cell.
        let others = cells.filter { $0.value.receiver != receiver || $0.key != column }
        if now < contendedUntil, others[column] != nil || others.count >= geometry.dataShards {
            return false
        }
        cells[column] = Cell(receiver: receiver, at: now)
        rows[row] = cells
        if rows.count > Self.rowsMax / 2 {
            // Half of what is remembered goes at a time: no list of ages is needed.
            former = rows
            rows = [:]
        }
        return true
    }
}
