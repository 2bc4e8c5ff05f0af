internal import CISAL
package import PetalsCore
internal import Synchronization

/// Systematic Reed-Solomon code over GF(2^8), polynomial 0x11d, with ISA-L's Cauchy matrix.
///
/// Columns 0..<k are the data as it is, columns k..<n the parity; any k columns give all others.
/// (`gf_gen_rs_matrix`, the other matrix that ISA-L offers, has shapes in which they do not.)
/// Coefficient of data column j in parity column i: the inverse of `i ^ j`.
package final class ErasureCode: Sendable {
    /// k: columns of data, and how many columns give all others.
    package let dataColumns: Int
    /// n: all columns.
    package let columns: Int
    /// n rows of k coefficients; the first k rows are the identity.
    private let matrix: [UInt8]
    private let encodeTables: [UInt8]
    /// Tables that were made for a set of available and a set of wanted columns.
    private let decodeTables = Mutex<[Loss: [UInt8]]>([:])

    /// Entries of `decodeTables`; a repair meets one or two, and each has at most 64 KiB.
    private static let decodeTablesMax = 64

    /// What a decode table depends on; columns are bits, of which there are at most 64.
    private struct Loss: Hashable {
        let available: UInt64
        let wanted: UInt64
    }

    /// Builds the code; `shared` is cheaper.
    ///
    /// - Precondition: `1 <= dataColumns < columns <= Limits.groupShardsMax`, as every
    ///   `BlobGeometry` has them.
    package init(dataColumns k: Int, columns n: Int) {
        precondition(k >= 1 && k < n && n <= Limits.groupShardsMax)
        dataColumns = k
        columns = n
        var matrix = [UInt8](repeating: 0, count: n * k)
        // SAFETY: the matrix has n rows of k coefficients.
        unsafe gf_gen_cauchy1_matrix(&matrix, Int32(n), Int32(k))
        self.matrix = matrix
        encodeTables = Self.tables(rows: Array(matrix[(k * k)...]), k: k)
    }

    /// The code of a geometry, built once for each (k, n) of this process.
    package static func shared(for geometry: BlobGeometry) -> ErasureCode {
        let shape = geometry.dataShards << 8 | geometry.groupShards
        return codes.withLock { codes in
            if let code = codes[shape] { return code }
            // Blobs of more than a few shapes in one process come from somebody who plays.
            if codes.count >= 64 { codes.removeAll() }
            let code = ErasureCode(
                dataColumns: geometry.dataShards, columns: geometry.groupShards)
            codes[shape] = code
            return code
        }
    }

    private static let codes = Mutex<[Int: ErasureCode]>([:])

    /// The parity columns over data columns.
    ///
    /// - Precondition: k arrays of one length.
    package func parity(of data: [[UInt8]]) -> [[UInt8]] {
        precondition(data.count == dataColumns)
        return Self.multiply(data, rows: columns - dataColumns, tables: encodeTables)
    }

    /// Computes a part of the parity cells of a row whose cells lie side by side.
    ///
    /// - Parameters:
    ///   - cells: n cells of `cellLength` bytes, the data first; the parity is written.
    ///   - part: which bytes of each cell.
    /// - Precondition: the cells lie inside `cells`, and the part inside a cell.
    func addParity(
        to cells: UnsafeMutableRawBufferPointer, cellLength: Int, part: Range<Int>
    ) {
        precondition(cells.count >= columns * cellLength)
        precondition(part.lowerBound >= 0 && part.upperBound <= cellLength)
        precondition(cellLength <= Limits.cellBytes)
        // SAFETY: each pointer has `part.count` bytes behind it, inside its cell; ISA-L reads those
        // of the data and writes those of the parity. It takes its tables as mutable but only reads
        // them.
        unsafe encodeTables.withUnsafeBufferPointer { tables in
            var pointers = unsafe (0..<columns).map {
                unsafe cells.baseAddress?.advanced(by: $0 * cellLength + part.lowerBound)
                    .assumingMemoryBound(to: UInt8.self)
            }
            var outputs = unsafe Array(pointers[dataColumns...])
            unsafe ec_encode_data(
                Int32(part.count), Int32(dataColumns), Int32(columns - dataColumns),
                UnsafeMutablePointer(mutating: tables.baseAddress), &pointers, &outputs)
        }
    }

    /// The wanted columns from any k available ones.
    ///
    /// The bytes may be any part of the cells, as long as it is the same part of each. Whether the
    /// result is right is for the hash tree to say: a publisher can have made false parity.
    ///
    /// - Parameters:
    ///   - available: k different columns and their bytes, all of one length.
    ///   - wanted: different columns, data or parity.
    /// - Precondition: as above; they are chosen by this program, not by a peer.
    package func reconstruct(
        available: [(column: Int, bytes: [UInt8])], wanted: [Int]
    ) -> [[UInt8]] {
        let sources = available.sorted { $0.column < $1.column }
        let loss = Loss(
            available: mask(of: sources.map(\.column)), wanted: mask(of: wanted))
        precondition(loss.available.nonzeroBitCount == dataColumns)
        precondition(sources.count == dataColumns)
        precondition(loss.wanted.nonzeroBitCount == wanted.count)
        if wanted.isEmpty { return [] }
        // The tables are made for the wanted columns in ascending order.
        let ascending = wanted.sorted()
        let tables = decodeTables(for: loss, sources: sources.map(\.column), wanted: ascending)
        let results = Self.multiply(sources.map(\.bytes), rows: wanted.count, tables: tables)
        let byColumn = Dictionary(uniqueKeysWithValues: zip(ascending, results))
        return wanted.map { byColumn[$0, default: []] }
    }

    /// Columns as bits.
    private func mask(of columns: [Int]) -> UInt64 {
        columns.reduce(0) { mask, column in
            precondition(column >= 0 && column < self.columns)
            return mask | 1 << UInt64(column)
        }
    }

    /// The inverse of the k rows `sources` of the matrix; nil where they are not independent, which
    /// the tests rule out for a Cauchy matrix.
    func inverse(ofRows sources: [Int]) -> [UInt8]? {
        let k = dataColumns
        var rows = sources.flatMap { matrix[$0 * k..<($0 + 1) * k] }
        var inverse = [UInt8](repeating: 0, count: k * k)
        // SAFETY: both are k x k; `rows` is used up as scratch space.
        return unsafe gf_invert_matrix(&rows, &inverse, Int32(k)) == 0 ? inverse : nil
    }

    private func decodeTables(for loss: Loss, sources: [Int], wanted: [Int]) -> [UInt8] {
        if let known = decodeTables.withLock({ $0[loss] }) { return known }
        guard let inverse = inverse(ofRows: sources) else {
            preconditionFailure("columns \(sources) of \(dataColumns)/\(columns) are dependent")
        }
        let k = dataColumns
        let rows = wanted.flatMap { column in
            // The column's coefficients over the data, times the data's over the sources.
            (0..<k).map { source in
                (0..<k).reduce(UInt8(0)) {
                    $0 ^ gf_mul(matrix[column * k + $1], inverse[$1 * k + source])
                }
            }
        }
        let tables = Self.tables(rows: rows, k: k)
        decodeTables.withLock {
            if $0.count >= Self.decodeTablesMax { $0.removeAll() }
            $0[loss] = tables
        }
        return tables
    }

    /// ISA-L's form of rows of k coefficients: 32 bytes for each.
    private static func tables(rows: [UInt8], k: Int) -> [UInt8] {
        var rows = rows
        var tables = [UInt8](repeating: 0, count: 32 * rows.count)
        // SAFETY: 32 bytes for each coefficient, as ec_init_tables asks for.
        unsafe ec_init_tables(Int32(k), Int32(rows.count / k), &rows, &tables)
        return tables
    }
}

// MARK: - Multiplying

extension ErasureCode {
    /// `rows` sums of products over `sources`, which have one length.
    private static func multiply(_ sources: [[UInt8]], rows: Int, tables: [UInt8]) -> [[UInt8]] {
        let length = sources[0].count
        precondition(sources.allSatisfy { $0.count == length })
        precondition(length <= Limits.cellBytes)
        var results: [[UInt8]] = []
        // SAFETY: the pointers stay alive while the innermost closure runs, each has `length`
        // bytes, and ISA-L writes all bytes of all targets. It takes its sources and tables as
        // mutable but only reads them.
        unsafe withPointers(to: sources[...], []) { inputs in
            unsafe withNewArrays(rows, length, [], results: &results) { outputs in
                guard length > 0 else { return }
                var inputs = unsafe inputs
                var outputs = unsafe outputs
                unsafe tables.withUnsafeBufferPointer { tables in
                    unsafe ec_encode_data(
                        Int32(length), Int32(sources.count), Int32(rows),
                        UnsafeMutablePointer(mutating: tables.baseAddress), &inputs, &outputs)
                }
            }
        }
        return results
    }

    /// Calls `body` with a pointer to each array's bytes, innermost of as many calls as arrays.
    // SAFETY: a pointer is used inside of the closure that lends it only.
    private static func withPointers(
        to arrays: ArraySlice<[UInt8]>, _ pointers: [UnsafeMutablePointer<UInt8>?],
        _ body: ([UnsafeMutablePointer<UInt8>?]) -> Void
    ) {
        guard let first = arrays.first else { return unsafe body(pointers) }
        unsafe first.withUnsafeBufferPointer { buffer in
            unsafe withPointers(
                to: arrays.dropFirst(),
                pointers + [UnsafeMutablePointer(mutating: buffer.baseAddress)],
                body)
        }
    }

    /// Makes `count` arrays of `length` bytes, which `body` fills before they exist as arrays.
    // SAFETY: `body` initialises all bytes behind all pointers, each of which is used inside of the
    // closure that lends it only.
    private static func withNewArrays(
        _ count: Int, _ length: Int, _ pointers: [UnsafeMutablePointer<UInt8>?],
        results: inout [[UInt8]], _ body: ([UnsafeMutablePointer<UInt8>?]) -> Void
    ) {
        guard unsafe pointers.count < count else { return unsafe body(pointers) }
        let array = unsafe [UInt8](unsafeUninitializedCapacity: length) { buffer, initialized in
            unsafe withNewArrays(
                count, length, pointers + [buffer.baseAddress], results: &results, body)
            initialized = length
        }
        // The innermost array is finished first and belongs last.
        results.insert(array, at: 0)
    }
}
