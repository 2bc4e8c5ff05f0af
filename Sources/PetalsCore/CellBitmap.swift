/// Which cells of a shard are there.
package struct CellBitmap: Hashable, Sendable {
    /// Cells of the shard.
    package let cellCount: Int
    /// Bit `i % 8`, counted from the lowest, of byte `i / 8` is cell `i`; spare bits are zero.
    package private(set) var bytes: [UInt8]
    /// How many cells are there.
    package private(set) var count = 0

    /// An empty or a full bitmap.
    package init(cellCount: Int, complete: Bool = false) {
        self.cellCount = cellCount
        bytes = Array(repeating: 0, count: ceilDivide(cellCount, 8))
        if complete {
            for cell in 0..<cellCount { insert(CellIndex(cell)) }
        }
    }

    /// Reads a bitmap that came from outside.
    ///
    /// - Returns: nil where its length is not that of `cellCount` cells or a spare bit is set.
    package init?(cellCount: Int, bytes: some Collection<UInt8>) {
        guard bytes.count == ceilDivide(cellCount, 8) else { return nil }
        self.cellCount = cellCount
        self.bytes = Array(bytes)
        if cellCount % 8 != 0, let last = self.bytes.last, last >> UInt8(cellCount % 8) != 0 {
            return nil
        }
        count = self.bytes.reduce(0) { $0 + $1.nonzeroBitCount }
    }

    /// Whether all cells are there.
    package var isComplete: Bool { count == cellCount }
    /// Whether no cell is there.
    package var isEmpty: Bool { count == 0 }

    /// Whether a cell is there; false outside the shard.
    package func contains(_ cell: CellIndex) -> Bool {
        guard cell.rawValue >= 0, cell.rawValue < cellCount else { return false }
        return bytes[cell.rawValue / 8] >> UInt8(cell.rawValue % 8) & 1 == 1
    }

    /// Adds a cell of the shard.
    package mutating func insert(_ cell: CellIndex) {
        precondition(cell.rawValue >= 0 && cell.rawValue < cellCount)
        let bit = UInt8(1) << UInt8(cell.rawValue % 8)
        guard bytes[cell.rawValue / 8] & bit == 0 else { return }
        bytes[cell.rawValue / 8] |= bit
        count += 1
    }

    /// Takes a cell of the shard away.
    package mutating func remove(_ cell: CellIndex) {
        precondition(cell.rawValue >= 0 && cell.rawValue < cellCount)
        let bit = UInt8(1) << UInt8(cell.rawValue % 8)
        guard bytes[cell.rawValue / 8] & bit != 0 else { return }
        bytes[cell.rawValue / 8] &= ~bit
        count -= 1
    }
}
