internal import PetalsCodec
package import PetalsCore
internal import PetalsStore

extension Node {
    /// Says which files this node may read: their records are given to whoever knows the SHA-256 of
    /// one that is public.
    ///
    /// - Parameter records: all of them; they take the place of those before.
    package func offer(_ records: [FileRecord]) {
        server.records.replace(with: records)
        discovery.surveySoon()
    }

    /// Finds a public file by the SHA-256 of its content, here or at a peer.
    ///
    /// Its blob is in the store then, without a cell. The record is sound in itself; whether the
    /// content has this SHA-256 is known when all of it was read.
    ///
    /// - Parameters:
    ///   - excluded: blobs that were found to be something else.
    ///   - seconds: how long peers are asked.
    /// - Throws: `PetalsError.unavailable` where no peer knows it in time, `.cancelled`, and what
    ///   the store throws.
    package func findFile(
        sha256: Digest, excluding excluded: Set<BlobID> = [], seconds: Double
    ) async throws(PetalsError) -> FileRecord {
        if let here = server.records.record(of: sha256), !excluded.contains(here.blobID) {
            return here
        }
        guard canFindPeers || listening != nil else {
            throw PetalsError(
                .unavailable,
                "there is nobody to ask for the file with SHA-256 \(sha256.hex); name a node that "
                    + "may have it with --peer HOST:PORT")
        }
        let found = try await discovery.looking(for: .file(sha256: sha256)) {
            () async throws(PetalsError) in
            try await documents.find(
                sha256, excluding: excluded, end: MonotonicClock.now + seconds)
        }
        guard let found else {
            throw PetalsError(
                .unavailable,
                "no peer knows a public file with SHA-256 \(sha256.hex) (\(peerCount) are "
                    + "connected); is a node that has it running, and reachable with --peer?")
        }
        let record = found.record
        let relayKey = KeyDerivation.relayKey(of: record.blobKey)
        let stored = try store.blob(
            id: record.blobID, relayKey: relayKey, descriptor: found.sealedDescriptor)
        // A blob that was here already was opened with some other record's key.
        guard stored.relayKey == relayKey else {
            throw PetalsError(
                .corrupt,
                "a peer names the blob \(record.blobID.short) with a key that is not its")
        }
        announce(stored)
        return record
    }
}
