/// What a frame on the wire carries; the byte after its length.
package enum FrameKind: UInt8, Sendable, CaseIterable {
    /// A `ControlMessage`.
    case control = 0
    /// `DataHeader`, proof, leaves.
    case data = 1
    /// `CellLayerHeader`, cell hashes.
    case cellLayer = 2
    /// `DocumentHeader`, document bytes.
    case document = 3

    /// The most bytes that a frame of this kind may have after its kind byte.
    package var bodyBytesMax: Int {
        switch self {
        case .control: Limits.controlBytesMax
        case .data: Limits.wireFrameBytesMax - 1
        case .cellLayer: CellLayerHeader.byteCount + 32 * Limits.rowsPerGroupMax
        case .document: DocumentHeader.byteCount + Limits.documentChunkBytesMax
        }
    }
}

/// The fixed part of a data frame: big-endian, 8 bytes.
///
/// Behind it come `proofCount` hashes of 32 bytes and the leaves, 16 KiB each.
package struct DataHeader: Hashable, Sendable {
    /// Bytes of the header.
    package static let byteCount = 8

    package let request: UInt32
    /// In the cell; never empty, within 0..<16.
    package let leaves: Range<Int>
    package let proofCount: Int

    package init(request: UInt32, leaves: Range<Int>, proofCount: Int) {
        self.request = request
        self.leaves = leaves
        self.proofCount = proofCount
    }

    /// Reads a header; nil where it is impossible or disagrees with the frame's length.
    ///
    /// `bodyBytes` counts the bytes of the frame after its kind, this header included.
    package init?(_ bytes: [UInt8], bodyBytes: Int) {
        guard bytes.count == Self.byteCount, bytes[7] == 0 else { return nil }
        let first = Int(bytes[4])
        let count = Int(bytes[5])
        proofCount = Int(bytes[6])
        guard first < Limits.leavesPerCell, count >= 1, count <= Limits.leavesPerCell - first,
            proofCount <= Limits.leavesPerCell,
            bodyBytes == Self.byteCount + 32 * proofCount + Limits.leafBytes * count
        else { return nil }
        request = bigEndianWord(bytes, at: 0)
        leaves = first..<first + count
    }

    /// The header as it travels.
    package var bytes: [UInt8] {
        bigEndianBytes(request) + [
            UInt8(truncatingIfNeeded: leaves.lowerBound), UInt8(truncatingIfNeeded: leaves.count),
            UInt8(truncatingIfNeeded: proofCount), 0,
        ]
    }
}

/// The fixed part of a cell layer frame: big-endian, 8 bytes; the cell hashes follow.
package struct CellLayerHeader: Hashable, Sendable {
    /// Bytes of the header.
    package static let byteCount = 8

    package let request: UInt32
    package let cellCount: Int

    package init(request: UInt32, cellCount: Int) {
        self.request = request
        self.cellCount = cellCount
    }

    /// Reads a header; nil where it disagrees with the frame's length.
    package init?(_ bytes: [UInt8], bodyBytes: Int) {
        guard bytes.count == Self.byteCount else { return nil }
        request = bigEndianWord(bytes, at: 0)
        cellCount = Int(bigEndianWord(bytes, at: 4))
        guard cellCount <= Limits.rowsPerGroupMax, bodyBytes == Self.byteCount + 32 * cellCount
        else { return nil }
    }

    /// The header as it travels.
    package var bytes: [UInt8] {
        bigEndianBytes(request) + bigEndianBytes(UInt32(clamping: cellCount))
    }
}

/// The fixed part of a document frame: big-endian, 12 bytes; the chunk follows.
package struct DocumentHeader: Hashable, Sendable {
    /// Bytes of the header.
    package static let byteCount = 12

    package let request: UInt32
    /// Bytes of the whole document.
    package let total: Int
    /// Where this chunk lies in it.
    package let offset: Int

    package init(request: UInt32, total: Int, offset: Int) {
        self.request = request
        self.total = total
        self.offset = offset
    }

    /// Reads a header; nil where the chunk does not lie inside the document, is empty, or the
    /// document is larger than any may be.
    package init?(_ bytes: [UInt8], bodyBytes: Int) {
        guard bytes.count == Self.byteCount else { return nil }
        request = bigEndianWord(bytes, at: 0)
        total = Int(bigEndianWord(bytes, at: 4))
        offset = Int(bigEndianWord(bytes, at: 8))
        let chunk = bodyBytes - Self.byteCount
        guard chunk >= 1, total <= Limits.manifestBytesMax, offset <= total - chunk else {
            return nil
        }
    }

    /// The header as it travels.
    package var bytes: [UInt8] {
        bigEndianBytes(request) + bigEndianBytes(UInt32(clamping: total))
            + bigEndianBytes(UInt32(clamping: offset))
    }
}

/// Reads 4 bytes that the caller knows to be there.
private func bigEndianWord(_ bytes: [UInt8], at offset: Int) -> UInt32 {
    bytes[offset..<offset + 4].reduce(0) { $0 << 8 | UInt32($1) }
}

private func bigEndianBytes(_ word: UInt32) -> [UInt8] {
    (0..<4).map { UInt8(truncatingIfNeeded: word >> (24 - 8 * UInt32($0))) }
}
