internal import Logging
internal import PetalsCodec
internal import PetalsCore

extension DocumentFetcher {
    /// What a peer gave for the SHA-256 of a file: a record and the descriptor of its blob, which
    /// belong together.
    struct FoundFile {
        let record: FileRecord
        let sealedDescriptor: [UInt8]
    }

    /// Seconds that one peer's answer may take, so that one that answers a byte at a time does not
    /// hold the search up: a record has a few kilobytes, and the largest 8 MiB.
    private static let answerSecondsMax: Instant = 5

    /// Asks peers for a public file, one after the other and again, until one gives it.
    ///
    /// What is found is consistent: the record claims this SHA-256, the descriptor is that of the
    /// blob it names, and the key is the one that its stored stream and geometry give. That the
    /// blob's content has this SHA-256 is known only when all of it was read
    /// (`StoredBlob.readPlaintextDigest`).
    ///
    /// - Parameter excluded: blobs that were found to be something else.
    /// - Returns: nil where `end` came first.
    /// - Throws: `PetalsError.cancelled`.
    func find(
        _ sha256: Digest, excluding excluded: Set<BlobID>, end: Instant
    ) async throws(PetalsError) -> FoundFile? {
        while MonotonicClock.now < end {
            for connection in connections where MonotonicClock.now < end {
                let limit = min(end, MonotonicClock.now + Self.answerSecondsMax)
                let found = await find(sha256, at: connection, end: limit)
                if let found, !excluded.contains(found.record.blobID) { return found }
                if Task.isCancelled { break }
            }
            do {
                try await Task.sleep(for: Self.roundPause)
            } catch {
                throw PetalsError(.cancelled, "nobody was asked for the file any more")
            }
        }
        return nil
    }

    /// Asks one peer for a public file; nil where it knows none, or what it says is not sound.
    private func find(
        _ sha256: Digest, at connection: PeerConnection, end: Instant
    ) async -> FoundFile? {
        let answer = await ask(connection, bytesMax: Limits.recordBytesMax, end: end) {
            .getRecord(request: $0, sha256: sha256)
        }
        guard let answer else { return nil }
        do throws(PetalsError) {
            let record = try FileRecord(parsing: answer)
            guard record.sha256 == sha256, record.storedSHA256 != nil else {
                throw PetalsError(.corrupt, "its record is of another file, or of a private one")
            }
            // Whoever knows the record has the descriptor: nobody else is asked, so that a record
            // of a blob that does not exist keeps nobody waiting.
            let document = await fetch(
                record.blobID, from: connection, bytesMax: Limits.descriptorBytesMax, end: end)
            guard let document else { return nil }
            let descriptor = try SealedDescriptor.open(
                document, relayKey: KeyDerivation.relayKey(of: record.blobKey),
                expecting: record.blobID)
            try BlockPipeline.check(record, against: descriptor)
            guard record.isPublic(in: descriptor.geometry) else {
                throw PetalsError(.corrupt, "its record has a key that the file does not give")
            }
            return FoundFile(record: record, sealedDescriptor: document)
        } catch {
            // A newer petalsfs may be right and not understood here.
            if error.code == .unsupportedVersion {
                logger.notice(
                    "\(connection.peerID.label) knows \(sha256.short), but: \(error.message)")
            } else {
                blame(connection, "asked for the file \(sha256.short): \(error.message)")
            }
            return nil
        }
    }
}
