internal import PetalsCodec
internal import PetalsCore
internal import PetalsStore
internal import Synchronization

/// From the SHA-256 of a public file to its record, for whoever asks by it.
///
/// A private file is never in it, whatever was put in: an answer needs the key to be the one that
/// everybody who has the file derives.
final class RecordTable: Sendable {
    private let records = Mutex<[Digest: [FileRecord]]>([:])
    private let store: Store

    init(store: Store) {
        self.store = store
    }

    /// Takes the records of all files that this node may read, instead of those before.
    func replace(with all: [FileRecord]) {
        var fresh: [Digest: [FileRecord]] = [:]
        for record in all where record.storedSHA256 != nil {
            fresh[record.sha256, default: []].append(record)
        }
        records.withLock { $0 = fresh }
    }

    /// All records that are given to whoever asks.
    var offered: [FileRecord] { records.withLock { $0.values.flatMap { $0 } } }

    /// The record of a public file whose blob is known here.
    func record(of sha256: Digest) -> FileRecord? {
        let candidates = records.withLock { $0[sha256] ?? [] }
        return candidates.first { record in
            guard let blob = store.blob(record.blobID) else { return false }
            return blob.relayKey == KeyDerivation.relayKey(of: record.blobKey)
                && blob.geometry.storedLength == record.frames.storedLength
                && record.isPublic(in: blob.geometry)
        }
    }
}
