import PetalsCore
import Testing

@testable import PetalsCodec

/// Goal: what is sealed opens as it was, from any offset to any other.
///
/// Method: the model is a byte array: the stream, sealed at once, then dealt to cells by hand;
/// ranges run between all points next to the edges of leaves, cells, frames, rows and the file.
@Suite struct BlockPipelineTests {
    /// Lengths of streams around what changes the shape of k = 3 rows.
    static let lengths: [Int] = {
        let (leaf, row) = (Limits.leafBytes, 3 * Limits.cellBytes)
        return [
            1, 63, 64, 65, leaf - 1, leaf, leaf + 1, 3 * leaf, 3 * leaf + 1, 7 * leaf + 5,
            row - 1, row, row + 1, row + 4 * leaf, 2 * row + 100_000,
        ]
    }()

    @Test(arguments: lengths)
    func rowsAreTheModels(length: Int) throws {
        let geometry = try BlobGeometry(
            storedLength: length, dataShards: 3, groupShards: 5, rowsPerGroup: 2)
        let stream = lcg(seed: UInt64(length), count: length)
        var sealed = stream
        StreamCipher(key: try key(8)).apply(at: 0, to: &sealed)
        let pipeline = BlockPipeline(geometry: geometry, blobKey: try key(8))
        var next = 0
        for row in (0..<geometry.rowCount).map({ RowIndex($0) }) {
            let range = pipeline.streamRange(of: row)
            #expect(range.lowerBound == next)
            next = range.upperBound
            let sealedRow = pipeline.sealRow(row, stream: Array(stream[range]))
            #expect(sealedRow.cells.count == 5 && sealedRow.cellHashes.count == 5)
            let cellLength = geometry.cellLength(row: row)
            // The model: the row's sealed bytes, zeros behind them, cut into three.
            var dealt = Array(sealed[range])
            dealt += Array(repeating: 0, count: 3 * cellLength - dealt.count)
            let data = (0..<3).map { Array(dealt[$0 * cellLength..<($0 + 1) * cellLength]) }
            let cells = data + ErasureCode(dataColumns: 3, columns: 5).parity(of: data)
            for (column, cell) in sealedRow.cells.enumerated() {
                #expect(cell.address == geometry.address(row: row, column: column))
                #expect(same(cell.bytes, cells[column]))
                #expect(
                    sealedRow.cellHashes[column]
                        == HashTree.root(ofLeafHashes: cell.leafHashes))
            }
            checkLeaves(of: sealedRow, pipeline: pipeline, stream: stream)
        }
        #expect(next == length)
    }

    /// Sealing parts of data cells on the fly gives the parts of what publishing gave.
    func checkLeaves(of row: SealedRow, pipeline: BlockPipeline, stream: [UInt8]) {
        for cell in row.cells.prefix(3) {
            let count = cell.leaves.count
            for leaves in ranges(between: [0, 1, count / 2, count - 1, count]) {
                let range = pipeline.streamRange(of: cell.address, leaves: leaves)
                let bytes = pipeline.sealLeaves(
                    of: cell.address, leaves: leaves, stream: Array(stream[range]))
                if leaves.isEmpty {
                    #expect(bytes.isEmpty)
                    continue
                }
                let part = cell.part(leaves)
                #expect(
                    VerifiedLeaves.checked(
                        address: cell.address, leaves: leaves, bytes: bytes,
                        leafHashes: part.leafHashes) != nil)
            }
        }
    }

    /// A file, its record and its sealed stream.
    struct SealedFile {
        let plain: [UInt8]
        let record: FileRecord
        let sealed: [UInt8]

        init(plain: [UInt8], codec: FrameCodec) throws {
            self.plain = plain
            var stream: [UInt8] = []
            var lengths: [UInt32] = []
            for start in stride(from: 0, to: plain.count, by: Limits.frameBytes) {
                let frame = Array(plain[start..<min(start + Limits.frameBytes, plain.count)])
                let stored = FrameCoder.encode(frame, codec: codec)
                lengths.append(UInt32(stored.count))
                stream += stored
            }
            let blobKey = try key(5)
            record = FileRecord(
                size: plain.count, sha256: sha256(plain),
                frames: try FrameTable(
                    size: plain.count, codec: codec, lengths: codec == .raw ? [] : lengths),
                blobID: sha256([]), blobKey: blobKey)
            StreamCipher(key: blobKey).apply(at: 0, to: &stream)
            sealed = stream
        }
    }

    /// Two frames and a bit: compressible, then not (stored raw in a coded file), then mixed.
    static let plain: [UInt8] =
        FrameCoderTests.weights(Limits.frameBytes, elementBytes: 2, seed: 3)
        + lcg(seed: 4, count: Limits.frameBytes)
        + FrameCoderTests.weights(40_000, elementBytes: 4, seed: 5)

    @Test(arguments: FrameCodec.allCases)
    func anyRangeOpensAsItWas(codec: FrameCodec) throws {
        let file = try SealedFile(plain: Self.plain, codec: codec)
        let size = file.plain.count
        var points = [5, 100_000]
        for edge in [
            0, 64, Limits.leafBytes, Limits.frameBytes, Limits.frameBytes + Limits.leafBytes,
            2 * Limits.frameBytes, size,
        ] {
            points += [edge - 1, edge, edge + 1].filter { $0 >= 0 && $0 <= size }
        }
        for plain in ranges(between: points) {
            let stored = plain.isEmpty ? 0..<0 : file.record.frames.storedRange(covering: plain)
            // Once with just the needed bytes, once with more on both sides.
            for more in [0, 97] {
                let start = max(stored.lowerBound - more, 0)
                let end = min(stored.upperBound + more, file.sealed.count)
                var sealed = Array(file.sealed[start..<end])
                let opened = try BlockPipeline.openStored(
                    sealed: &sealed, storedOffset: start, record: file.record, plain: plain)
                #expect(same(opened, Array(file.plain[plain])), "\(codec) \(plain) \(more)")
            }
        }
    }

    /// The whole walk: frames, rows, cells; one column lost and rebuilt; pieces put side by side
    /// as a reader does; opened.
    @Test(arguments: FrameCodec.allCases)
    func aFileComesBackFromItsCells(codec: FrameCodec) throws {
        let file = try SealedFile(plain: Self.plain, codec: codec)
        let geometry = try BlobGeometry(
            storedLength: file.sealed.count, dataShards: 2, groupShards: 4, rowsPerGroup: 1)
        let pipeline = BlockPipeline(geometry: geometry, blobKey: file.record.blobKey)
        var stream = file.sealed
        StreamCipher(key: file.record.blobKey).apply(at: 0, to: &stream)
        let rows = (0..<geometry.rowCount).map { row in
            let range = pipeline.streamRange(of: RowIndex(row))
            return pipeline.sealRow(RowIndex(row), stream: Array(stream[range]))
        }
        var builder = TreeBuilder(geometry: geometry)
        for row in rows { builder.add(row) }
        let layers = builder.layers()
        // Column 0 is gone; the parity helps.
        var cells: [CellAddress: VerifiedLeaves] = [:]
        for row in rows {
            let lost = row.cells[0].address
            cells[lost] = try VerifiedLeaves.rebuilt(
                lost, from: [row.cells[3], row.cells[1]], layer: layers[lost.shard.rawValue],
                geometry: geometry)
            cells[row.cells[1].address] = row.cells[1]
        }
        let size = file.plain.count
        let cell = Limits.cellBytes
        let points = [0, 1, Limits.leafBytes, cell - 1, cell, cell + 1, 2 * cell, size - 1, size]
        for plain in ranges(between: points) where !plain.isEmpty {
            let stored = file.record.frames.storedRange(covering: plain)
            var sealed: [UInt8] = []
            for piece in geometry.pieces(of: stored) {
                #expect(piece.streamOffset == stored.lowerBound + sealed.count)
                sealed += try #require(cells[piece.address]).bytes[piece.rangeInCell]
            }
            let opened = try BlockPipeline.openStored(
                sealed: &sealed, storedOffset: stored.lowerBound, record: file.record,
                plain: plain)
            #expect(same(opened, Array(file.plain[plain])), "\(codec) \(plain)")
        }
    }

    @Test func onlyTheRangeIsWritten() throws {
        for codec in [FrameCodec.raw, .lz4] {
            let file = try SealedFile(plain: Self.plain, codec: codec)
            let plain = 1000..<2000
            var sealed = file.sealed
            var target = [UInt8](repeating: 0xEE, count: 1200)
            var failure: PetalsError?
            // SAFETY: the buffer is the target's own.
            unsafe target.withUnsafeMutableBytes { buffer in
                do throws(PetalsError) {
                    try unsafe BlockPipeline.openStored(
                        sealed: &sealed, storedOffset: 0, record: file.record, plain: plain,
                        into: buffer)
                } catch {
                    failure = error
                }
            }
            #expect(failure == nil)
            #expect(same(target, Array(file.plain[plain]) + Array(repeating: 0xEE, count: 200)))
            // Reading a raw file leaves the sealed bytes for whoever else wants them.
            if codec == .raw { #expect(same(sealed, file.sealed)) }
        }
    }

    @Test(arguments: [FrameCodec.raw, .lz4])
    func whatIsNotThereIsRefused(codec: FrameCodec) throws {
        let file = try SealedFile(plain: Self.plain, codec: codec)
        let size = file.plain.count
        func fails(_ sealed: [UInt8], _ offset: Int, _ plain: Range<Int>) -> Bool {
            var sealed = sealed
            do throws(PetalsError) {
                _ = try BlockPipeline.openStored(
                    sealed: &sealed, storedOffset: offset, record: file.record, plain: plain)
                return false
            } catch {
                return true
            }
        }
        #expect(!fails(file.sealed, 0, 0..<size))
        for range in [-1..<1, 0..<size + 1, size..<size + 1, Int.max - 1..<Int.max, -5..<(-5)] {
            #expect(fails(file.sealed, 0, range))
        }
        #expect(fails(Array(file.sealed.dropLast()), 0, size - 1..<size))
        #expect(fails(Array(file.sealed.dropFirst()), 1, 0..<10))
        #expect(fails(file.sealed, -1, 0..<10))
        #expect(fails(file.sealed, Int.max, 0..<10))
        #expect(fails([], 0, 0..<1))
        #expect(!fails([], 0, 7..<7))
    }

    @Test func aDamagedFrameIsAnError() throws {
        let file = try SealedFile(plain: Self.plain, codec: .bitshuffle2)
        var sealed = file.sealed
        sealed[0] ^= 1
        #expect(throws: PetalsError.self) {
            try BlockPipeline.openStored(
                sealed: &sealed, storedOffset: 0, record: file.record, plain: 0..<10)
        }
    }

    @Test func aRecordMustFitItsBlob() throws {
        let file = try SealedFile(plain: lcg(seed: 1, count: 70_000), codec: .raw)
        for length in [69_999, 70_000, 70_001] {
            let geometry = try BlobGeometry.standard(storedLength: length)
            let descriptor = BlobDescriptor(
                geometry: geometry, shardRoots: Array(repeating: .zero, count: geometry.shardCount))
            var failed = false
            do {
                try BlockPipeline.check(file.record, against: descriptor)
            } catch {
                failed = true
            }
            #expect(failed == (length != 70_000))
        }
    }
}
