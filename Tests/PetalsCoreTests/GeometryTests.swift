import PetalsCore
import Testing

/// The only place that knows where a byte lies, against a model that deals out bytes one leaf at a
/// time, for every small shape and at every edge.
@Suite struct GeometryTests {
    /// Where each leaf of the stored stream lies, found by dealing cells into shards row by row.
    private struct Model {
        /// For each leaf of the stream, in order, and its padding: shard, cell, leaf in the cell.
        var places: [(shard: Int, cell: Int, leaf: Int)] = []
        /// Bytes of each shard.
        var shardLengths: [Int: Int] = [:]

        init(storedLength: Int, k: Int, n: Int, rowsPerGroup: Int) {
            var rest = storedLength
            var row = 0
            while rest > 0 {
                // A row takes whole cells while it can; the last one as few leaves as will do.
                var leaves = Limits.leavesPerCell
                while leaves > 1, (leaves - 1) * Limits.leafBytes * k >= rest { leaves -= 1 }
                let group = row / rowsPerGroup
                for column in 0..<n {
                    let shard = group * n + column
                    shardLengths[shard, default: 0] += leaves * Limits.leafBytes
                    guard column < k else { continue }
                    for leaf in 0..<leaves {
                        places.append((shard, row % rowsPerGroup, leaf))
                    }
                }
                rest -= leaves * Limits.leafBytes * k
                row += 1
            }
        }
    }

    private static let shapes: [(k: Int, n: Int, rowsPerGroup: Int)] = {
        var shapes: [(k: Int, n: Int, rowsPerGroup: Int)] = []
        for k in 1...6 {
            for n in Set([k + 1, k + 2, 2 * k + 1]).sorted() {
                for rows in 1...3 { shapes.append((k, n, rows)) }
            }
        }
        return shapes + [(16, 24, 762), (32, 64, 2)]
    }()

    /// Lengths around the edges of leaves, cells, rows and groups.
    private static func lengths(k: Int, rowsPerGroup: Int) -> [Int] {
        let row = k * Limits.cellBytes
        let steps = [
            Limits.leafBytes, k * Limits.leafBytes, Limits.cellBytes, row, 2 * row,
            min(rowsPerGroup, 3) * row, 3 * row + Limits.cellBytes,
        ]
        var lengths: Set<Int> = [1, 2, 63, 64]
        for step in steps { lengths.formUnion([step - 1, step, step + 1]) }
        return lengths.sorted()
    }

    @Test(arguments: shapes)
    func mappingAgreesWithTheModel(k: Int, n: Int, rowsPerGroup: Int) throws {
        for length in Self.lengths(k: k, rowsPerGroup: rowsPerGroup) {
            let geometry = try BlobGeometry(
                storedLength: length, dataShards: k, groupShards: n, rowsPerGroup: rowsPerGroup)
            let model = Model(storedLength: length, k: k, n: n, rowsPerGroup: rowsPerGroup)
            #expect(geometry.shardCount == model.shardLengths.count)
            for shard in 0..<geometry.shardCount {
                let index = ShardIndex(shard)
                #expect(geometry.shardLength(index) == model.shardLengths[shard])
                #expect(
                    geometry.leafCount(of: index) * Limits.leafBytes == geometry.shardLength(index))
            }
            // Each leaf of the stream lies where it was dealt.
            for (position, place) in model.places.enumerated() {
                let address = CellAddress(
                    shard: ShardIndex(place.shard), cell: CellIndex(place.cell))
                let offset = geometry.streamOffset(address) + place.leaf * Limits.leafBytes
                guard offset == position * Limits.leafBytes, geometry.contains(address),
                    geometry.isData(address.shard), place.leaf < geometry.leafCount(address)
                else {
                    Issue.record("leaf \(position) of \(length) bytes, k \(k), n \(n)")
                    return
                }
            }
        }
    }

    @Test(arguments: shapes)
    func piecesCoverTheStreamOnce(k: Int, n: Int, rowsPerGroup: Int) throws {
        for length in Self.lengths(k: k, rowsPerGroup: rowsPerGroup) {
            let geometry = try BlobGeometry(
                storedLength: length, dataShards: k, groupShards: n, rowsPerGroup: rowsPerGroup)
            let model = Model(storedLength: length, k: k, n: n, rowsPerGroup: rowsPerGroup)
            var edges: Set<Int> = []
            let marks = [1, Limits.leafBytes, Limits.cellBytes, length / 2, length - 1]
            for mark in marks { edges.formUnion([mark - 1, mark, mark + 1]) }
            edges = edges.filter { (0...length).contains($0) }
            for low in edges {
                for high in edges where high >= low {
                    check(geometry, geometry.pieces(of: low..<high), low..<high, model)
                }
            }
        }
    }

    /// Pieces are in order, touch, end where the range ends, and lie where the model says.
    private func check(
        _ geometry: BlobGeometry, _ pieces: [CellPiece], _ range: Range<Int>, _ model: Model
    ) {
        var offset = range.lowerBound
        for piece in pieces {
            let first = model.places[offset / Limits.leafBytes]
            let last = model.places[(offset + piece.rangeInCell.count - 1) / Limits.leafBytes]
            let inLeaf = offset % Limits.leafBytes
            guard piece.streamOffset == offset, !piece.rangeInCell.isEmpty,
                piece.address.shard.rawValue == first.shard,
                piece.address.cell.rawValue == first.cell, first.shard == last.shard,
                first.cell == last.cell,
                piece.rangeInCell.lowerBound == first.leaf * Limits.leafBytes + inLeaf,
                piece.rangeInCell.upperBound <= geometry.cellLength(piece.address),
                piece.leaves == LeafSet(first.leaf..<last.leaf + 1)
            else {
                Issue.record("\(piece) of \(range) in \(geometry)")
                return
            }
            offset += piece.rangeInCell.count
        }
        #expect(offset == range.upperBound || range.isEmpty)
    }

    /// The leaves of a cell with stream bytes are those that reading everything touches.
    @Test(arguments: shapes)
    func paddingIsWhatNobodyReads(k: Int, n: Int, rowsPerGroup: Int) throws {
        for length in Self.lengths(k: k, rowsPerGroup: rowsPerGroup) {
            let geometry = try BlobGeometry(
                storedLength: length, dataShards: k, groupShards: n, rowsPerGroup: rowsPerGroup)
            var read: [CellAddress: LeafSet] = [:]
            for piece in geometry.pieces(of: 0..<length) { read[piece.address] = piece.leaves }
            for row in 0..<geometry.rowCount {
                for column in 0..<k {
                    let address = geometry.address(row: RowIndex(row), column: column)
                    let leaves = LeafSet(geometry.streamLeaves(of: address))
                    #expect(leaves == read[address] ?? .none, "\(address) of \(geometry)")
                }
            }
        }
    }

    @Test(arguments: shapes)
    func rowsAndAddressesAreInverse(k: Int, n: Int, rowsPerGroup: Int) throws {
        let length = (2 * rowsPerGroup + 1) * k * Limits.cellBytes - 1
        let geometry = try BlobGeometry(
            storedLength: length, dataShards: k, groupShards: n, rowsPerGroup: rowsPerGroup)
        #expect(geometry.groupCount == 3)
        #expect(geometry.parityShards == n - k)
        for row in 0..<geometry.rowCount {
            for column in 0..<n {
                let address = geometry.address(row: RowIndex(row), column: column)
                #expect(geometry.row(of: address) == RowIndex(row))
                #expect(geometry.column(of: address.shard) == column)
                #expect(geometry.group(of: address.shard) == row / rowsPerGroup)
                #expect(geometry.rows(ofGroup: row / rowsPerGroup).contains(row))
                #expect(geometry.contains(address))
            }
        }
    }

    @Test func strangersAreOutside() throws {
        let geometry = try BlobGeometry(
            storedLength: 5 * Limits.cellBytes, dataShards: 2, groupShards: 3, rowsPerGroup: 2)
        // Rows 0 and 1 form group 0, row 2 group 1.
        for shard in [-1, Int.min, 6, Int(UInt32.max), Int.max] {
            #expect(!geometry.contains(ShardIndex(shard)))
        }
        for (shard, cell) in [(0, 2), (3, 1), (0, -1), (6, 0), (5, Int.max), (Int.max, Int.max)] {
            let address = CellAddress(shard: ShardIndex(shard), cell: CellIndex(cell))
            #expect(!geometry.contains(address))
        }
    }
}
