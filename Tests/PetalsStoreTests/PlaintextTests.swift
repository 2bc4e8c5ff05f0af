import PetalsCodec
import PetalsCore
import PetalsTesting
import Testing

@testable import PetalsStore

/// The plaintext's SHA-256 is computed from cells that are here, all of them, and nothing else.
@Suite struct PlaintextTests {
    /// Frames that end within cells, groups that follow each other, a short last row.
    @Test(arguments: FrameCodec.allCases, [1, 3])
    func theDigestIsThatOfTheFile(codec: FrameCodec, k: Int) throws {
        for size in [1, 16_384, 262_144, 262_145, 1_900_001] {
            let node = try StoreBox()
            let blob = try TestBlob(size: size, k: k, n: k + 1, rowsPerGroup: 2, codec: codec)
            let stored = try blob.open(in: node.store())
            #expect(!stored.hasAllData)
            for cell in blob.cells.values where blob.geometry.isData(cell.address.shard) {
                // The padding behind the end is nobody's; a reader does not fetch it.
                let leaves = blob.geometry.streamLeaves(of: cell.address)
                if !leaves.isEmpty { try stored.write(cell.part(leaves)) }
            }
            #expect(stored.hasAllData)
            let digest = try stored.readPlaintextDigest(of: blob.record)
            #expect(digest == sha256(blob.plain), "\(size) bytes")
        }
    }

    /// Each data cell in turn is the one that is missing.
    @Test func nothingIsSaidOfAFileThatIsNotAllHere() throws {
        let blob = try TestBlob(size: 1_400_000, k: 2, n: 4, rowsPerGroup: 2)
        for missing in blob.addresses
        where blob.geometry.isData(missing.shard)
            && !blob.geometry.streamLeaves(of: missing).isEmpty
        {
            let node = try StoreBox()
            let stored = try blob.open(in: node.store())
            for cell in blob.cells.values where cell.address != missing { try stored.write(cell) }
            #expect(!stored.hasAllData)
            #expect(try stored.readPlaintextDigest(of: blob.record) == nil, "\(missing)")
        }
    }

    @Test func theWorkCanBeEndedAtEachFrame() throws {
        let node = try StoreBox()
        let blob = try TestBlob(size: 1_400_000)
        let stored = try blob.open(in: node.store())
        for cell in blob.cells.values { try stored.write(cell) }
        let frames = blob.record.frames.frameCount
        for last in 0...frames {
            var asked = 0
            let digest = try stored.readPlaintextDigest(of: blob.record) {
                asked += 1
                return asked <= last
            }
            #expect((digest != nil) == (last == frames))
            #expect(asked == min(last + 1, frames))
        }
    }

    /// A record that names a codec whose frames these are not, and one of another length.
    @Test func whatDoesNotDecodeIsNoFile() throws {
        let node = try StoreBox()
        let blob = try TestBlob(size: 400_000)
        let stored = try blob.open(in: node.store())
        for cell in blob.cells.values { try stored.write(cell) }
        func record(size: Int, _ codec: FrameCodec, _ lengths: [UInt32]) throws -> FileRecord {
            FileRecord(
                size: size, sha256: blob.record.sha256,
                frames: try FrameTable(size: size, codec: codec, lengths: lengths),
                blobID: blob.id, blobKey: blob.record.blobKey)
        }
        for codec in FrameCodec.allCases where codec != .raw {
            let wrong = try record(size: 500_000, codec, [200_000, 200_000])
            #expect(code { _ = try stored.readPlaintextDigest(of: wrong) } == .corrupt)
        }
        let long = try record(size: 400_001, .raw, [])
        #expect(code { _ = try stored.readPlaintextDigest(of: long) } == .corrupt)
    }
}
