import PetalsCore
import Testing

@testable import PetalsCodec

/// Goal: memory that is used again holds nothing of the row before.
///
/// Method: one sealer seals all rows of a blob, forwards, backwards and twice, after a row that was
/// cut short; each is compared with the row that a fresh sealer makes, which `BlockPipelineTests`
/// compare with their model.
@Suite struct RowSealerTests {
    @Test(arguments: [1, 100, 3 * Limits.cellBytes, 6 * Limits.cellBytes + 70_000])
    func aSealerIsUsedAgain(length: Int) throws {
        let geometry = try BlobGeometry(
            storedLength: length, dataShards: 3, groupShards: 5, rowsPerGroup: 2)
        let pipeline = BlockPipeline(geometry: geometry, blobKey: try key(5))
        let stream = lcg(seed: 11, count: length)
        let sealer = RowSealer(pipeline)
        let rows = (0..<geometry.rowCount).map { RowIndex($0) }
        for row in rows + rows.reversed() + rows {
            let part = Array(stream[pipeline.streamRange(of: row)])
            let failure = PetalsError(.system, "the file cannot be read")
            #expect(throws: PetalsError.self) {
                // SAFETY: the buffer is lent to the closure, which writes inside of it.
                try unsafe sealer.seal(row) { (buffer) throws(PetalsError) in
                    unsafe buffer.initializeMemory(as: UInt8.self, repeating: 0xA5)
                    throw failure
                }
            }
            #expect(sealer.cellHashes.isEmpty, "a row that was cut short is none")
            // SAFETY: the buffer has as many bytes as the part.
            unsafe sealer.seal(row) { unsafe $0.copyBytes(from: part) }
            let fresh = pipeline.sealRow(row, stream: part)
            #expect(sealer.row == row && sealer.cellHashes == fresh.cellHashes)
            for (column, cell) in fresh.cells.enumerated() {
                // SAFETY: the cell is copied while it is lent.
                let bytes = unsafe sealer.withCell(column) { unsafe Array($0) }
                #expect(same(bytes, cell.bytes))
                #expect(Array(sealer.leafHashes(ofColumn: column)) == cell.leafHashes)
            }
        }
    }

    /// The check value of CRC-64/XZ, as the catalogue of CRC algorithms gives it, and a model that
    /// goes bit by bit.
    @Test func checksumsAreThoseOfTheStandard() {
        #expect(crc64(Array("123456789".utf8)) == 0x995D_C9BB_DF19_39FA)
        #expect(crc64([]) == 0)
        for count in [1, 7, 64, 129, 1000] {
            let bytes = lcg(seed: UInt64(count), count: count)
            var sum = UInt64.max
            for byte in bytes {
                sum ^= UInt64(byte)
                for _ in 0..<8 { sum = sum >> 1 ^ (sum & 1 == 0 ? 0 : 0xC96C_5795_D787_0F42) }
            }
            #expect(crc64(bytes) == ~sum)
        }
    }
}
