import Foundation
import Glibc
import PetalsCodec
import PetalsCore
import PetalsStore
import PetalsTesting
import Synchronization
import Testing

@testable import ShardFetch

/// Goal: a publication that is interrupted anywhere goes on, and comes to what it would have come
/// to; a file that changes is noticed, however it changes.
///
/// Method: the disk is gone from some operation on, which leaves what a kill leaves; the next
/// attempt opens the state folder again. `MountTests` do the same with real processes.
@Suite(.serialized) struct PublisherTests {
    /// A folder with a raw file, a coded one and one that is inlined, and a state folder.
    final class Desk: Sendable {
        let folder: TemporaryFolder
        let book = LogBook()
        let state: String
        /// Where progress was, report by report, in this attempt.
        let progress = Mutex<[Int]>([])

        init(rawBytes: Int = 1_300_000) throws {
            folder = try TemporaryFolder()
            state = folder.path + "/state"
            var generator = SeededGenerator(seed: 21)
            try folder.write(generator.bytes(rawBytes), to: "m/raw.bin")
            // Coded, and still several rows.
            let halves = generator.bytes(900_000).map { $0 & 0x0F }
            try folder.write(halves, to: "m/coded.bin")
            try folder.write([1, 2, 3], to: "m/README")
        }

        var source: String { folder.path + "/m" }

        /// One attempt, as a process of its own would make it.
        func attempt(
            faults: DiskFaults? = nil, isPrivate: Bool = false,
            during: @escaping @Sendable (Int, Int) -> Void = { _, _ in }
        ) throws -> Publisher.Publication {
            let folder = try StateFolder(opening: state, faults: faults)
            defer { folder.release() }
            let store = try Store(folder: folder, logger: book.logger, limit: nil)
            try store.collectGarbage()
            var options = Publisher.Options()
            options.shards = (data: 2, group: 4)
            options.isPrivate = isPrivate
            progress.withLock { $0 = [] }
            let identity = try NodeIdentity(seed: Array(repeating: 7, count: 32))
            let publication = try Publisher(store: store, signer: identity.signing)
                .publish(path: source, options: options) { done, total in
                    self.progress.withLock { $0.append(done) }
                    during(done, total)
                }
            #expect(try store.verify().isClean)
            let parity = store.allBlobs().flatMap { blob in
                (0..<blob.geometry.shardCount).map { ShardIndex($0) }
                    .filter { !blob.geometry.isData($0) }
                    .map { blob.geometry.shardLength($0) }
            }
            #expect(store.usage().total == parity.reduce(0, +))
            return publication
        }

        /// An attempt on a disk that is gone after so many operations; false where it was enough.
        ///
        /// Counts all operations, or only writes to files whose names end in `suffix`.
        func interrupt(
            after operations: Int, on suffix: String = "", isPrivate: Bool = false
        ) throws -> Bool {
            let count = Mutex(0)
            let faults = DiskFaults { operation, path, _ in
                let isGone = count.withLock { count in
                    let isMeant = suffix.isEmpty || (operation == .write && path.hasSuffix(suffix))
                    if isMeant || count > operations { count += 1 }
                    return count > operations
                }
                return isGone ? .fail(EIO) : nil
            }
            do {
                _ = try attempt(faults: faults, isPrivate: isPrivate)
                return false
            } catch let error as PetalsError {
                #expect(error.code == .system)
                return true
            }
        }

        /// An attempt that ends when so many rows are sealed.
        ///
        /// The coded file has one, and comes before the raw one.
        func interrupt(afterRows rows: Int, isPrivate: Bool = false) throws {
            #expect(try interrupt(after: rows, on: ".rows", isPrivate: isPrivate))
        }

        var drafts: [String] {
            get throws {
                try FileManager.default.contentsOfDirectory(atPath: state + "/publishing")
            }
        }
    }

    @Test func interruptedAnywhere() throws {
        let expected = try Desk().attempt()
        #expect(expected.resumedBytes == 0)
        var resumed: Set<Int> = []
        // A prime, so that all kinds of operations are met.
        for operations in stride(from: 20, to: 10_000, by: 17) {
            let desk = try Desk()
            guard try desk.interrupt(after: operations) else { break }
            let again = try desk.attempt()
            // The folders differ, and only in name: manifests are equal, and so are all ids.
            #expect(again.manifestID == expected.manifestID, "after \(operations) operations")
            #expect(try desk.drafts.isEmpty)
            resumed.insert(again.resumedBytes)
        }
        #expect(resumed.count > 3, "\(resumed)")
    }

    /// The first pass goes batch by batch, of which the raw file has two; when it is not repeated,
    /// progress passes over both at once, and then over each row that is sealed.
    @Test func progressBeginsWhereItGoesOn() throws {
        let size = 5_000_000
        let desk = try Desk(rawBytes: size)
        let before = 6 + 2 * 900_000
        let firstBatch = before + 16 * Limits.frameBytes
        try desk.interrupt(afterRows: 4)
        #expect(desk.progress.withLock { $0.contains(firstBatch) })
        let again = try desk.attempt()
        let reports = desk.progress.withLock { $0 }
        #expect(!reports.contains(firstBatch), "the first pass is not repeated")
        #expect(reports.contains(before + size))
        // Three rows of ten, one of which may be the last, which is short.
        let row = 2 * Limits.cellBytes
        #expect([3 * row, 2 * row + size % row].contains(again.resumedBytes))
        #expect(reports.last == before + 2 * size)
    }

    /// A name that a model from elsewhere has is refused before a byte is read; the same name again
    /// is a new version.
    @Test func aTakenNameIsRefusedAtOnce() throws {
        let desk = try Desk()
        let folder = try StateFolder(opening: desk.state)
        let store = try Store(folder: folder, logger: desk.book.logger, limit: nil)
        let id = try #require(Digest(Array(repeating: 1, count: 32)))
        let key = try #require(SecretKey(Array(repeating: 2, count: 32)))
        try store.registry.add(
            ModelRow(
                name: "m", manifestID: id, capability: .read(key), origin: .added, addedAt: 0))
        folder.release()
        let error = #expect(throws: PetalsError.self) { try desk.attempt() }
        #expect(error?.message.contains("is registered already") == true)
        #expect(desk.progress.withLock { $0 } == [])
    }

    @Test func aChangedFileStartsOver() throws {
        let desk = try Desk()
        try desk.interrupt(afterRows: 2)
        #expect(try !desk.drafts.isEmpty)
        var generator = SeededGenerator(seed: 22)
        let (raw, coded) = (generator.bytes(1_300_000), generator.bytes(900_000))
        try desk.folder.write(raw, to: "m/raw.bin")
        try desk.folder.write(coded, to: "m/coded.bin")
        let again = try desk.attempt()
        #expect(again.resumedBytes == 0)
        let digests = again.manifest.entries.compactMap { entry -> Digest? in
            guard case .record(let record) = entry.content else { return nil }
            return record.sha256
        }
        #expect(Set(digests) == [sha256(raw), sha256(coded)])
    }

    /// A private file's key is drawn once, and kept where only the owner of the node can look.
    @Test func aPrivateFileKeepsItsKey() throws {
        let desk = try Desk()
        try desk.interrupt(afterRows: 2, isPrivate: true)
        let folder = try StateFolder(opening: desk.state)
        let store = try Store(folder: folder, logger: desk.book.logger, limit: nil)
        var keys: Set<SecretKey> = []
        for name in try desk.drafts {
            let attributes = try FileManager.default.attributesOfItem(
                atPath: desk.state + "/publishing/" + name)
            let mode = try #require(attributes[.posixPermissions] as? Int)
            #expect(mode == (name.contains(".") ? 0o600 : 0o700), "\(name)")
            guard name.hasSuffix(".journal"), let id = Digest(hex: name.dropLast(8)) else {
                continue
            }
            if let journal = try store.claimDraft(id).readJournal() {
                keys.insert(journal.record.blobKey)
            }
        }
        folder.release()
        #expect(!keys.isEmpty)
        let again = try desk.attempt(isPrivate: true)
        #expect(again.resumedBytes == 2 * Limits.cellBytes)
        let used = again.manifest.entries.compactMap { entry -> SecretKey? in
            guard case .record(let record) = entry.content else { return nil }
            return record.blobKey
        }
        #expect(keys.isSubset(of: used))
        let other = try desk.attempt(isPrivate: true)
        #expect(other.manifestID != again.manifestID, "and drawn anew for the next publication")
    }

    /// The file changes between the passes through a mapping that was written to before, which
    /// moves none of its times.
    @Test(arguments: ["raw.bin", "coded.bin"]) func aFileThatChangesUnseen(name: String) throws {
        let desk = try Desk()
        let path = desk.source + "/" + name
        // SAFETY: the path is passed as a NUL-terminated copy that lives through the call.
        let descriptor = unsafe open(path, O_RDWR)
        try #require(descriptor >= 0)
        defer { close(descriptor) }
        // SAFETY: one page of the file, which is longer; it is unmapped when the test ends.
        let mapping = unsafe mmap(nil, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0)
        let address = UInt(bitPattern: mapping)
        try #require(address != UInt.max)
        // SAFETY: as above.
        defer { unsafe munmap(UnsafeMutableRawPointer(bitPattern: address), 4096) }
        let flip: @Sendable () -> Void = {
            // SAFETY: the first byte of the mapped page.
            let byte = unsafe UnsafeMutablePointer<UInt8>(bitPattern: address)
            unsafe byte?.pointee ^= 1
        }
        flip()
        let isDone = Atomic<Bool>(false)
        let surveyed = 900_000
        var message = ""
        do {
            _ = try desk.attempt { done, _ in
                // Files go in order: “coded.bin”, then “raw.bin”.
                let start = name == "coded.bin" ? 0 : 2 * 900_000
                guard done > start + surveyed / 2 else { return }
                if !isDone.exchange(true, ordering: .relaxed) { flip() }
            }
        } catch let error as PetalsError {
            #expect(error.code == .badInput)
            message = error.message
        }
        #expect(message.contains("\(name) changed while"), "\(message)")
        #expect(try desk.drafts.filter { $0.hasSuffix(".rows") }.isEmpty)
    }
}
