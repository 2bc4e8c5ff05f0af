import Foundation
import Glibc
import PetalsCodec
import PetalsCore
import PetalsTesting
import Synchronization
import Testing

@testable import PetalsStore

/// A blob in the making: it goes on after any interruption, becomes the blob that sealing in
/// memory gives, and until then nobody sees it.
@Suite(.serialized) struct BlobDraftTests {
    static let name = sha256(Array("a publication".utf8))

    /// A publication on a disk of its own: the file, the blob that must come of it, the store.
    struct Publication {
        let blob: TestBlob
        let box: StoreBox
        let path: String

        /// A blob of two rows, each in a group of its own, unless another is given.
        init(_ blob: TestBlob? = nil, limit: Int? = nil, faults: DiskFaults? = nil) throws {
            self.blob = try blob ?? TestBlob(seed: 5, size: 900_000, rowsPerGroup: 1)
            box = try StoreBox(limit: limit, faults: faults)
            path = box.folder.path + "/model.bin"
            try self.blob.plain.write(to: path)
        }

        var parity: Int {
            blob.addresses.filter { !blob.geometry.isData($0.shard) }
                .reduce(0) { $0 + blob.geometry.cellLength($1) }
        }

        func journal() throws -> DraftJournal {
            try blob.journal(of: path)
        }

        /// Opens the draft as a publisher does: goes on with the one that is there.
        func open() throws -> (draft: BlobDraft, found: Set<RowIndex>) {
            let claim = try box.store().claimDraft(BlobDraftTests.name)
            let kept = try claim.readJournal()
            if kept == nil { try claim.begin(try journal()) }
            let draft = try box.store().openDraft(claim, journal: try kept ?? journal())
            let found = Mutex<Set<RowIndex>>([])
            try draft.findSealedRows { row in found.withLock { _ = $0.insert(row) } }
            return (draft, found.withLock { $0 })
        }

        /// Seals what is missing, and hands the blob to the store.
        @discardableResult
        func complete(_ draft: BlobDraft) throws -> StoredBlob {
            try blob.seal(draft.missingRows, into: draft)
            let (row, record) = try draft.finish()
            #expect(row == blob.row && record == blob.record)
            return try box.store().adopt(draft, as: row, source: blob.source(at: path))
        }

        /// Expects the blob in the store, whole, and counted once.
        func expectWhole() throws {
            let store = try box.store()
            let stored = try #require(store.blob(blob.id))
            for address in blob.addresses {
                let cell = try blob.cell(address)
                #expect(try stored.read(address, leaves: cell.leaves) == cell)
            }
            #expect(try store.verify().isClean)
            try expectUsage(parity)
        }

        func expectUsage(_ bytes: Int) throws {
            let store = try box.store()
            #expect(store.usage().bytes[.seeded] == bytes && store.usage().total == bytes)
            store.context.ledger.withLock { #expect($0.reserved == 0) }
        }

        var draftFiles: [String] {
            get throws { try Disk.names(in: box.path + "/publishing") }
        }
    }

    @Test func aDraftBecomesTheBlob() throws {
        let publication = try Publication()
        let store = try publication.box.store()
        let draft = try publication.open().draft
        #expect(draft.missingRows.count == publication.blob.geometry.rowCount)
        #expect(store.allBlobs().isEmpty, "nobody sees a draft")
        try publication.complete(draft)
        try publication.expectWhole()
        #expect(try publication.draftFiles == [Self.name.hex + ".journal"])
        try draft.claim.discard()
        try publication.expectWhole()
        #expect(try publication.draftFiles.isEmpty)
    }

    /// After each number of rows the process ends; the next one seals only the others.
    @Test func finishedRowsAreNotSealedAgain() throws {
        let publication = try Publication()
        let rows = (0..<publication.blob.geometry.rowCount).map { RowIndex($0) }
        for count in 0..<rows.count {
            let (draft, found) = try publication.open()
            #expect(found == Set(rows.prefix(count)))
            #expect(draft.missingRows == Array(rows[count...]))
            try publication.blob.seal([rows[count]], into: draft)
            publication.box.close()
            let store = try publication.box.store()
            try store.collectGarbage()
            #expect(store.allBlobs().isEmpty)
            let bytes = rows[...count].reduce(0) {
                $0 + 2 * publication.blob.geometry.cellLength(row: $1)
            }
            try publication.expectUsage(bytes)
        }
        try publication.complete(try publication.open().draft)
        try publication.expectWhole()
    }

    /// The disk is gone from the n-th operation on, for each n, which leaves what a SIGKILL leaves.
    ///
    /// The next start shows nothing or the whole blob, and goes on to the same end.
    @Test func interruptedAtEveryOperation() throws {
        let blob = try TestBlob(seed: 6, size: 600_000, rowsPerGroup: 1)
        var resumed = 0
        var last = 1
        while true {
            let plan = FaultPlan()
            let publication = try Publication(blob, faults: plan.faults)
            _ = try publication.box.store()
            let start = plan.state.withLock { $0.operations }
            let end = last
            plan.set { _, _, _ in
                plan.state.withLock { $0.operations } >= start + end ? .fail(EIO) : nil
            }
            let failure = code { try publication.complete(try publication.open().draft) }
            plan.set(nil)
            guard failure != nil else { break }
            #expect(failure == .system)
            resumed += try check(publication, after: end)
            last += 1
        }
        #expect(last > 80, "a publication has more operations than that")
        #expect(resumed > 40, "most attempts had something to go on with")
    }

    /// What must hold after an interruption; gives the number of rows that were found sealed.
    private func check(_ publication: Publication, after operations: Int) throws -> Int {
        let blob = publication.blob
        publication.box.close()
        let store = try publication.box.store()
        try store.collectGarbage()
        #expect(try store.verify().isClean, "after \(operations) operations")
        #expect(store.usage().total <= publication.parity, "after \(operations) operations")
        if store.blob(blob.id) != nil, try publication.isAdopted() {
            try publication.expectWhole()
            return blob.geometry.rowCount
        }
        #expect(store.allBlobs().isEmpty)
        let (draft, found) = try publication.open()
        #expect(found.isDisjoint(with: draft.missingRows))
        try publication.expectUsage(
            found.reduce(0) { $0 + 2 * blob.geometry.cellLength(row: $1) })
        try publication.complete(draft)
        try draft.claim.discard()
        try publication.expectWhole()
        return found.count
    }

    /// Damage to a row seals that row again; damage to the journal starts all over.
    @Test(arguments: ["data", "tree", "rows", "journal", "missing"])
    func damageIsSealedAgain(kind: String) throws {
        let publication = try Publication()
        let (draft, _) = try publication.open()
        try publication.blob.seal(draft.missingRows, into: draft)
        publication.box.close()
        let base = publication.box.path + "/publishing/" + Self.name.hex
        // Row 1 is in shards 4 to 7, of which 6 and 7 are parity.
        switch kind {
        case "data": try patch(base + "/6.data") { $0[100] ^= 1 }
        case "tree": try patch(base + "/4.tree") { $0[40] ^= 1 }
        case "rows": try patch(base + ".rows") { $0[32] ^= 1 }
        case "journal": try patch(base + ".journal") { $0[200] ^= 1 }
        default: try FileManager.default.removeItem(atPath: base + "/7.data")
        }
        try publication.box.store().collectGarbage()
        let (again, found) = try publication.open()
        if kind == "journal" {
            #expect(found.isEmpty)
        } else {
            #expect(again.missingRows == [RowIndex(1)])
        }
        try publication.complete(again)
        try publication.expectWhole()
    }

    @Test func oneAtATime() throws {
        let publication = try Publication()
        let store = try publication.box.store()
        do {
            let claim = try store.claimDraft(Self.name)
            #expect(code { _ = try store.claimDraft(Self.name) } == .busy)
            _ = claim
        }
        _ = try store.claimDraft(Self.name)
    }

    // MARK: What is collected

    @Test(arguments: ["changed", "gone", "old", "fresh"])
    func draftsThatCannotGoOnAreRemoved(kind: String) throws {
        let publication = try Publication()
        let (draft, _) = try publication.open()
        try publication.blob.seal([RowIndex(0)], into: draft)
        publication.box.close()
        switch kind {
        case "changed": try patch(publication.path) { $0.append(1) }
        case "gone": try FileManager.default.removeItem(atPath: publication.path)
        case "old":
            let age = Double(Limits.draftSecondsMax + 60)
            try FileManager.default.setAttributes(
                [.modificationDate: Date().addingTimeInterval(-age)],
                ofItemAtPath: draft.claim.journalFile)
        default: break
        }
        let store = try publication.box.store()
        try Disk.makeFolder(publication.box.path + "/publishing/" + sha256([1]).hex)
        try [UInt8]([1]).write(to: publication.box.path + "/publishing/x.journal.part-1")
        try store.collectGarbage()
        let isKept = kind == "fresh"
        #expect(try publication.draftFiles.count == (isKept ? 3 : 0))
        try publication.expectUsage(isKept ? 2 * Limits.cellBytes : 0)
    }

    /// A finished blob waits for its model as long as its journal speaks for it.
    @Test func aFinishedBlobWaitsForItsModel() throws {
        let publication = try Publication()
        try publication.complete(try publication.open().draft)
        for _ in 0..<2 {
            publication.box.close()
            try publication.box.store().collectGarbage()
            try publication.expectWhole()
        }
        let store = try publication.box.store()
        try store.registry.add(publication.blob.model("m"), blobs: [publication.blob.row])
        publication.box.close()
        try publication.box.store().collectGarbage()
        #expect(try publication.draftFiles.isEmpty, "a model speaks for it now")
        try publication.expectWhole()
        let orphans = try publication.box.store().registry.removeModel("m")
        try publication.box.store().remove(blobs: orphans)
        try publication.expectUsage(0)
    }

    // MARK: Beside other things

    /// Parts of the blob are here, as a reader or a holder has them.
    @Test(arguments: [0, 1, 3]) func aBlobThatIsHereInPartsBecomesWhole(shard: Int) throws {
        let publication = try Publication()
        let blob = publication.blob
        let stored = try blob.open(in: try publication.box.store())
        let here = blob.addresses.filter { $0.shard == ShardIndex(shard) }
        for address in here { try stored.write(try blob.cell(address)) }
        let changes = stored.changes
        let adopted = try publication.complete(try publication.open().draft)
        #expect(adopted === stored, "there is one instance of each")
        #expect(stored.changes > changes)
        try publication.expectWhole()
        publication.box.close()
        try publication.expectWhole()
    }

    /// A full disk at any write: one error, and after the claim is discarded nothing is left.
    @Test func aFullDisk() throws {
        let blob = try TestBlob(seed: 6, size: 600_000, rowsPerGroup: 1)
        var writes = 0
        while true {
            let plan = FaultPlan()
            let publication = try Publication(blob, faults: plan.faults)
            let store = try publication.box.store()
            let end = writes
            let left = Mutex(end)
            plan.set { operation, _, _ in
                guard operation == .write || operation == .resize else { return nil }
                let isFull = left.withLock { left in
                    left -= 1
                    return left < 0
                }
                guard isFull else { return nil }
                return operation == .write ? .torn(5, ENOSPC) : .fail(ENOSPC)
            }
            let claim = try store.claimDraft(Self.name)
            let failure = code {
                try claim.begin(try publication.journal())
                let draft = try store.openDraft(claim, journal: try publication.journal())
                try blob.seal(draft.missingRows, into: draft)
                _ = try draft.finish()
            }
            plan.set(nil)
            guard failure != nil else { break }
            #expect(failure == .noSpace, "write \(end)")
            try claim.discard()
            #expect(try publication.draftFiles.isEmpty)
            try publication.expectUsage(0)
            writes += 1
        }
        #expect(writes > 20)
    }

    /// Rows are counted like any seeded cell, and the cache's limit is not for them.
    @Test func rowsAndCachedCellsAreCountedApart() throws {
        let publication = try Publication(limit: 5 * Limits.cellBytes)
        let store = try publication.box.store()
        let other = try TestBlob(seed: 8, size: 1_000_000)
        let cached = try other.open(in: store)
        let addresses = other.addresses.prefix(5)
        for address in addresses { try cached.write(try other.cell(address)) }
        let (draft, _) = try publication.open()
        try publication.blob.seal(draft.missingRows, into: draft)
        let usage = store.usage()
        #expect(usage.bytes[.seeded] == publication.parity)
        let before = addresses.reduce(0) { $0 + other.geometry.cellLength($1) }
        #expect(usage.bytes[.cached] == before)
    }
}

extension BlobDraftTests.Publication {
    /// Whether the draft's files are the blob's now.
    func isAdopted() throws -> Bool {
        try Disk.names(in: box.path + "/publishing/" + BlobDraftTests.name.hex).isEmpty
    }
}

extension TestBlob {
    /// What the first pass over the blob's file finds out.
    func journal(of path: String) throws -> DraftJournal {
        DraftJournal(
            path: path, stamp: try FileStamp(readingFileAt: path), geometry: geometry,
            record: FileRecord(
                size: record.size, sha256: record.sha256, frames: record.frames, blobID: .zero,
                blobKey: record.blobKey),
            sums: (0..<record.frames.frameCount).map { UInt64($0) << 60 | 7 })
    }

    func source(at path: String) throws -> SourceRow {
        SourceRow(
            blobID: id, path: path, stamp: try FileStamp(readingFileAt: path), record: record)
    }

    /// Seals rows of the blob, whose file is raw, into a draft.
    func seal(_ rows: [RowIndex], into draft: BlobDraft) throws {
        let pipeline = BlockPipeline(geometry: geometry, blobKey: record.blobKey)
        let sealer = RowSealer(pipeline)
        for row in rows {
            let stream = plain[pipeline.streamRange(of: row)]
            // SAFETY: the buffer has as many bytes as the row's stream.
            unsafe sealer.seal(row) { unsafe $0.copyBytes(from: stream) }
            try draft.write(sealer)
        }
    }
}
