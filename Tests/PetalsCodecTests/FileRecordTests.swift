import PetalsCodec
import PetalsCore
import Testing

/// A record is public when, and only when, its key is what the stored stream and the geometry give.
@Suite struct FileRecordTests {
    @Test func onlyTheDerivedKeyIsPublic() throws {
        let stored = sha256(Array("a stored stream".utf8))
        let geometry = try BlobGeometry(
            storedLength: 700_000, dataShards: 2, groupShards: 4, rowsPerGroup: 3)
        func record(_ key: SecretKey, _ storedSHA256: Digest?) throws -> FileRecord {
            FileRecord(
                size: 700_000, sha256: sha256([]),
                frames: try FrameTable(
                    size: 700_000, codec: .lz4, lengths: [262_144, 262_144, 175_712]),
                blobID: sha256([1]), blobKey: key, storedSHA256: storedSHA256)
        }
        let derived = KeyDerivation.blobKey(storedSHA256: stored, geometry: geometry)
        #expect(try record(derived, stored).isPublic(in: geometry))
        #expect(try !record(derived, nil).isPublic(in: geometry))
        #expect(try !record(derived, sha256([])).isPublic(in: geometry))
        #expect(try !record(.random(), stored).isPublic(in: geometry))
        for (length, k, n, rows) in [
            (700_001, 2, 4, 3), (700_000, 1, 4, 3), (700_000, 2, 5, 3), (700_000, 2, 4, 2),
        ] {
            let other = try BlobGeometry(
                storedLength: length, dataShards: k, groupShards: n, rowsPerGroup: rows)
            #expect(try !record(derived, stored).isPublic(in: other))
        }
    }
}
