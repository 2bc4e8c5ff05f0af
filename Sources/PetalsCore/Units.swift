/// A position in a sequence of things of one kind; `Tag` says which kind.
///
/// An index of one kind cannot be used where another is meant, and an index is not a count.
package struct Index<Tag>: Hashable, Comparable, Sendable, CustomStringConvertible {
    package let rawValue: Int

    @inlinable
    package init(_ rawValue: Int) {
        self.rawValue = rawValue
    }

    @inlinable
    package static func < (a: Self, b: Self) -> Bool { a.rawValue < b.rawValue }

    package var description: String { String(rawValue) }
}

/// Names the kind of a `ShardIndex`.
package enum ShardTag: Sendable {}
/// Names the kind of a `CellIndex`.
package enum CellTag: Sendable {}
/// Names the kind of a `LeafIndex`.
package enum LeafTag: Sendable {}
/// Names the kind of a `RowIndex`.
package enum RowTag: Sendable {}

/// A shard of a blob, counted through all its groups: group `g` has shards `g*n ..< (g+1)*n`, the
/// first `k` of them data, the rest parity.
package typealias ShardIndex = Index<ShardTag>
/// A cell of a shard, counted from the shard's start.
package typealias CellIndex = Index<CellTag>
/// A leaf of a shard, counted from the shard's start.
package typealias LeafIndex = Index<LeafTag>
/// A row of a blob, counted through all its groups.
package typealias RowIndex = Index<RowTag>

/// A number of bytes that people write and read: `50G`, `253 MB`.
package struct ByteCount: Hashable, Comparable, Sendable, CustomStringConvertible {
    package let bytes: Int

    package init(_ bytes: Int) {
        self.bytes = bytes
    }

    /// Reads `123`, `64K`, `50G`, `1.5T`, `250MB`, `4GiB`.
    ///
    /// A bare letter and `B` are powers of 1000, `iB` is powers of 1024.
    ///
    /// - Returns: nil where the text is no such number, is negative or does not fit.
    package init?(parsing text: String) {
        let digits = text.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
        guard let value = Double(String(digits)), value.isFinite, value >= 0 else { return nil }
        var unit = text.dropFirst(digits.count).drop { $0 == " " }.lowercased()
        let base: Double = unit.hasSuffix("ib") ? 1024 : 1000
        if unit.hasSuffix("ib") {
            unit.removeLast(2)
        } else if unit.hasSuffix("b") {
            unit.removeLast()
        }
        guard let power = ["", "k", "m", "g", "t", "p"].firstIndex(of: unit) else { return nil }
        var product = value
        for _ in 0..<power { product *= base }
        guard let bytes = Int(exactly: product.rounded()) else { return nil }
        self.bytes = bytes
    }

    package static func < (a: Self, b: Self) -> Bool { a.bytes < b.bytes }

    package var description: String {
        guard bytes >= 1000 else { return "\(bytes) B" }
        var scaled = Double(bytes)
        var unit = ""
        // From 999.5 on, rounding would print a thousand of the smaller unit.
        for next in ["kB", "MB", "GB", "TB", "PB"] where scaled >= 999.5 {
            scaled /= 1000
            unit = next
        }
        guard scaled < 99.95 else { return "\(Int(scaled.rounded())) \(unit)" }
        let tenths = Int((scaled * 10).rounded())
        return "\(tenths / 10).\(tenths % 10) \(unit)"
    }
}

/// `value` rounded up to a multiple of `step`.
///
/// Both are non-negative and bounded by `Limits.blobBytesMax`, which leaves room for the sum.
@inlinable
package func roundUp(_ value: Int, to step: Int) -> Int {
    (value + step - 1) / step * step
}

/// The quotient of `value` and `divisor`, rounded up.
@inlinable
package func ceilDivide(_ value: Int, _ divisor: Int) -> Int {
    (value + divisor - 1) / divisor
}
