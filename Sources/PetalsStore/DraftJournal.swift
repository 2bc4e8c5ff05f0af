internal import Foundation
internal import PetalsCodec
package import PetalsCore

/// What a publication knows of a file after its first pass: enough to go on after an interruption.
///
/// It contains the key that seals the file. The state folder is open to its owner only, and keeps
/// such keys in the registry, too.
package struct DraftJournal: Hashable, Sendable {
    /// The file, as an absolute path.
    package let path: String
    /// The file as it was when it was surveyed.
    package let stamp: FileStamp
    package let geometry: BlobGeometry
    /// What readers of the file will know; the blob's id is zero until all is sealed.
    package private(set) var record: FileRecord
    /// The CRC-64 of each frame as it is stored.
    package let sums: [UInt64]
    /// Whether parity is stored; else it is hashed and left to others to make.
    package let keepsParity: Bool

    package init(
        path: String, stamp: FileStamp, geometry: BlobGeometry, record: FileRecord, sums: [UInt64],
        keepsParity: Bool = true
    ) {
        self.keepsParity = keepsParity
        self.path = path
        self.stamp = stamp
        self.geometry = geometry
        self.record = record
        self.sums = sums
    }

    /// The blob's id, once all is sealed.
    package var blobID: BlobID? { record.blobID == .zero ? nil : record.blobID }

    /// The key under which the blob's descriptor is sealed.
    package var relayKey: SecretKey { KeyDerivation.relayKey(of: record.blobKey) }

    /// The same with the blob's id.
    package func completed(_ id: BlobID) -> DraftJournal {
        var journal = self
        journal.record = FileRecord(
            size: record.size, sha256: record.sha256, frames: record.frames, blobID: id,
            blobKey: record.blobKey, storedSHA256: record.storedSHA256)
        return journal
    }
}

// MARK: - On the disk

extension DraftJournal {
    private struct Document: Codable {
        var path: String
        var size: Int
        var modified: Int
        var changed: Int
        var inode: Int
        var dataShards: Int
        var groupShards: Int
        var rowsPerGroup: Int
        var record: Data
        /// Eight bytes each, little-endian.
        var sums: Data
        /// Absent where parity is stored.
        var leavesParity: Bool?
    }

    /// The journal's file: the SHA-256 of what follows, and a JSON document.
    ///
    /// - Throws: `.system` where it cannot be encoded.
    func serialized() throws(PetalsError) -> [UInt8] {
        let document = Document(
            path: path, size: stamp.size, modified: stamp.modified, changed: stamp.changed,
            inode: stamp.inode, dataShards: geometry.dataShards,
            groupShards: geometry.groupShards, rowsPerGroup: geometry.rowsPerGroup,
            record: Data(record.serialized()),
            sums: Data(
                sums.flatMap { sum in (0..<8).map { UInt8(truncatingIfNeeded: sum >> ($0 * 8)) } }),
            leavesParity: keepsParity ? nil : true)
        do {
            let body = Array(try JSONEncoder().encode(document))
            return sha256(body).bytes + body
        } catch {
            throw PetalsError(
                .system, "the journal of the publication of \(path) cannot be written: \(error)")
        }
    }

    /// Reads a journal's file.
    ///
    /// - Returns: nil for one that is damaged: the publication starts over.
    init?(parsing bytes: [UInt8]) {
        let body = Array(bytes.dropFirst(Digest.byteCount))
        guard let digest = Digest(bytes.prefix(Digest.byteCount)), sha256(body) == digest,
            // What does not parse is as good as damaged.
            let document = try? JSONDecoder().decode(Document.self, from: Data(body)),
            let record = try? FileRecord(parsing: Array(document.record)),
            let geometry = try? BlobGeometry(
                storedLength: record.frames.storedLength, dataShards: document.dataShards,
                groupShards: document.groupShards, rowsPerGroup: document.rowsPerGroup),
            document.sums.count == 8 * record.frames.frameCount
        else { return nil }
        let sums = Array(document.sums)
        self.init(
            path: document.path,
            stamp: FileStamp(
                size: document.size, modified: document.modified, changed: document.changed,
                inode: document.inode),
            geometry: geometry, record: record,
            sums: stride(from: 0, to: sums.count, by: 8).map { start in
                sums[start..<start + 8].reversed().reduce(0) { $0 << 8 | UInt64($1) }
            },
            keepsParity: document.leavesParity != true)
    }
}
