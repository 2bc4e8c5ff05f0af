internal import PetalsCodec
package import PetalsCore
internal import Synchronization

/// What the store knows of its drafts while it runs.
struct DraftBook: Sendable {
    /// Those that somebody works on.
    var claimed: Set<Digest> = []
    /// Bytes of parity cells on the disk, which the ledger counts as seeded.
    var bytes: [Digest: Int] = [:]
}

/// The right to work on the draft of one name, for as long as this value lives.
///
/// A name is a digest of what is published and how; whoever publishes chooses it so that the same
/// publication finds its draft again.
package final class DraftClaim: Sendable {
    package let name: Digest
    let context: StoreContext

    /// Claims a name; `Store.claimDraft` is who calls it.
    ///
    /// - Throws: `.busy` where somebody has it.
    init(_ name: Digest, context: StoreContext) throws(PetalsError) {
        guard context.drafts.withLock({ $0.claimed.insert(name).inserted }) else {
            throw PetalsError(
                .busy, "the same file is being published already; wait until that is done")
        }
        self.name = name
        self.context = context
    }

    deinit {
        context.drafts.withLock { _ = $0.claimed.remove(name) }
    }

    private var base: String { context.folder.publishingFolder + "/" + name.hex }
    /// The shards' files; it becomes the blob's folder.
    var folder: String { base }
    /// A digest for each row that is sealed; see `BlobDraft`.
    var rowsFile: String { base + ".rows" }
    /// The journal.
    var journalFile: String { base + ".journal" }

    /// The journal, where there is one that can be read.
    ///
    /// - Throws: `.system` from the disk.
    package func readJournal() throws(PetalsError) -> DraftJournal? {
        guard
            let file = try DiskFile.open(journalFile, .reading, faults: context.folder.faults)
        else { return nil }
        return DraftJournal(parsing: try file.read(count: try file.readStamp().size, at: 0))
    }

    /// Puts the journal on the disk, in place of the one before.
    ///
    /// - Throws: `.noSpace` or `.system` from the disk.
    func write(_ journal: DraftJournal) throws(PetalsError) {
        try Disk.replaceFile(
            name.hex + ".journal", in: context.folder.publishingFolder,
            with: try journal.serialized(), faults: context.folder.faults)
    }

    /// Starts a draft over: what there was of it is removed, and the journal written.
    ///
    /// - Throws: `.noSpace` or `.system` from the disk.
    package func begin(_ journal: DraftJournal) throws(PetalsError) {
        try discard()
        try Disk.makeFolder(folder)
        try write(journal)
    }

    /// Removes the draft with all its files.
    ///
    /// - Throws: `.system` from the disk.
    package func discard() throws(PetalsError) {
        // The journal first: without one, the rest is rubbish to whoever starts next.
        try Disk.removeFile(journalFile)
        try Disk.removeFile(rowsFile)
        try Disk.removeFolder(folder)
        freeAll()
    }

    /// Enters bytes that were reserved and are written now.
    func commit(_ bytes: Int, as key: SpaceLedger.CellKey) {
        context.drafts.withLock { $0.bytes[name, default: 0] += bytes }
        context.ledger.withLock { $0.commit(bytes, key, as: .seeded, written: bytes) }
    }

    /// Takes bytes out of the accounts.
    func free(_ bytes: Int) {
        context.drafts.withLock { $0.bytes[name, default: 0] -= bytes }
        context.ledger.withLock { $0.vacate(bytes, BlobDraft.anyCell, from: .seeded) }
    }

    /// Takes all bytes of the draft out of the accounts: its files are gone, or a blob's now.
    func freeAll() {
        let bytes = context.drafts.withLock { $0.bytes.removeValue(forKey: name) } ?? 0
        context.ledger.withLock { $0.vacate(bytes, BlobDraft.anyCell, from: .seeded) }
    }
}
