/// A set of leaves of one cell, as a 16-bit mask: leaf `i` of the cell is bit `i`.
package struct LeafSet: Hashable, Sendable, CustomStringConvertible {
    package var mask: UInt16

    @inlinable
    package init(mask: UInt16) {
        self.mask = mask
    }

    /// No leaf.
    package static let none = LeafSet(mask: 0)

    /// The first `count` leaves, `count` at most 16: all leaves of a cell of that many.
    @inlinable
    package init(first count: Int) {
        mask = UInt16(truncatingIfNeeded: (1 << count) - 1)
    }

    /// The leaves `range` of a cell; the range lies inside 0..<16.
    @inlinable
    package init(_ range: Range<Int>) {
        mask = LeafSet(first: range.upperBound).mask & ~LeafSet(first: range.lowerBound).mask
    }

    /// The leaves that a range of bytes of a cell touches.
    package init(covering bytes: Range<Int>) {
        let first = bytes.lowerBound / Limits.leafBytes
        self.init(first..<(bytes.isEmpty ? first : (bytes.upperBound - 1) / Limits.leafBytes + 1))
    }

    /// Whether no leaf is in the set.
    package var isEmpty: Bool { mask == 0 }
    /// How many leaves are in the set.
    package var count: Int { mask.nonzeroBitCount }

    /// Whether leaf `leaf` of the cell, 0..<16, is in the set.
    @inlinable
    package func contains(_ leaf: Int) -> Bool { mask >> UInt16(leaf) & 1 == 1 }
    /// Whether all leaves of `other` are in the set.
    @inlinable
    package func isSuperset(of other: LeafSet) -> Bool { other.mask & ~mask == 0 }
    /// The leaves of either set.
    @inlinable
    package func union(_ other: LeafSet) -> LeafSet { LeafSet(mask: mask | other.mask) }
    /// The leaves of both sets.
    @inlinable
    package func intersection(_ other: LeafSet) -> LeafSet { LeafSet(mask: mask & other.mask) }
    /// The leaves that are not in `other`.
    @inlinable
    package func subtracting(_ other: LeafSet) -> LeafSet { LeafSet(mask: mask & ~other.mask) }

    /// The runs of neighbouring leaves, lowest first: what requests are made of.
    package var runs: [Range<Int>] {
        var runs: [Range<Int>] = []
        var rest = mask
        while rest != 0 {
            let start = rest.trailingZeroBitCount
            let length = (~(rest >> UInt16(start))).trailingZeroBitCount
            runs.append(start..<start + length)
            rest &= ~LeafSet(start..<start + length).mask
        }
        return runs
    }

    package var description: String { "leaves \(runs)" }
}
