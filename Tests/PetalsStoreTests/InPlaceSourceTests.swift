import Foundation
import Glibc
import PetalsCodec
import PetalsCore
import PetalsTesting
import Testing

@testable import PetalsStore

/// A published file that is served where it lies: the same bytes as stored ones, and none at all
/// once the file has changed.
@Suite struct InPlaceSourceTests {
    /// A publication: the file, the model, parity stored, data cells only as hashes.
    private func publish(_ blob: TestBlob, _ box: StoreBox) throws -> (StoredBlob, String) {
        let path = box.folder.path + "/model.bin"
        try blob.plain.write(to: path)
        let store = try box.store()
        let stored = try store.blob(
            id: blob.id, relayKey: blob.relayKey, descriptor: blob.sealedDescriptor)
        let source = SourceRow(
            blobID: blob.id, path: path, stamp: try FileStamp(readingFileAt: path),
            record: blob.record)
        try stored.attach(source)
        for layer in blob.layers { try stored.keep(layer) }
        let shards = (0..<blob.geometry.shardCount).map { ShardIndex($0) }
        try store.setClass(.seeded, of: shards, blob: blob.id)
        for address in blob.addresses { try stored.write(try blob.cell(address)) }
        try stored.flush()
        let manifest = Array("m".utf8)
        let model = ModelRow(
            name: "m", manifestID: sha256(manifest), capability: .read(blob.record.blobKey),
            origin: .published, addedAt: 1)
        try store.registry.publish(
            model: model, manifest: manifest, blobs: [blob.row], sources: [source])
        return (stored, path)
    }

    @Test(arguments: FrameCodec.allCases) func allCellsAreServed(codec: FrameCodec) throws {
        let blob = try TestBlob(seed: 4, size: 900_000, codec: codec)
        if codec != .raw { #expect(blob.geometry.storedLength < 900_000) }
        let box = try StoreBox()
        _ = try publish(blob, box)
        for round in 0..<2 {
            let stored = try #require(try box.store().blob(blob.id))
            #expect(stored.sourcePath != nil)
            for address in blob.addresses {
                let cell = try blob.cell(address)
                #expect(try stored.read(address, leaves: cell.leaves) == cell, "\(round)")
                for leaf in cell.leaves {
                    let one = try stored.served(address, leaves: leaf..<leaf + 1)
                    #expect(one?.bytes == cell.part(leaf..<leaf + 1).bytes)
                }
                if blob.geometry.isData(address.shard) {
                    let data = box.file(blob, address.shard, "data")
                    #expect(!FileManager.default.fileExists(atPath: data), "no second copy")
                }
            }
            let parity = blob.addresses.filter { !blob.geometry.isData($0.shard) }
                .reduce(0) { $0 + blob.geometry.cellLength($1) }
            let usage = try box.store().usage()
            #expect(usage.total == parity && usage.bytes[.seeded] == parity)
            #expect(try box.store().verify().cells == blob.addresses.count)
            try box.store().clearCached()
            box.close()
        }
    }

    /// What a person may do to a published file.
    enum Change: CaseIterable, Sendable {
        case overwritten, truncated, removed, replaced, touched, turnedIntoAFolder
    }

    @Test(arguments: Change.allCases, [true, false])
    func aChangedFileIsLetGo(change: Change, whileOpen: Bool) throws {
        let blob = try TestBlob(seed: 5, size: 600_000)
        let box = try StoreBox()
        let (stored, path) = try publish(blob, box)
        let address = CellAddress(shard: ShardIndex(0), cell: CellIndex(0))
        #expect(try stored.read(address, leaves: 0..<16) != nil)
        if !whileOpen { box.close() }
        switch change {
        case .overwritten: try patch(path) { $0[100] ^= 1 }
        case .truncated: try patch(path) { $0.removeLast(1000) }
        case .removed: try FileManager.default.removeItem(atPath: path)
        case .replaced:
            try blob.plain.write(to: path + ".new")
            // SAFETY: both paths are passed as NUL-terminated copies that live through the call.
            let result = unsafe rename(path + ".new", path)
            #expect(result == 0)
        case .touched:
            try FileManager.default.setAttributes([.modificationDate: Date()], ofItemAtPath: path)
        case .turnedIntoAFolder:
            try FileManager.default.removeItem(atPath: path)
            try FileManager.default.createDirectory(
                atPath: path, withIntermediateDirectories: false)
        }
        try expectLetGo(blob, box, path)
        // The cells may come from the network now, and stay over a restart.
        let now = try #require(try box.store().blob(blob.id))
        try now.write(try blob.cell(address))
        #expect(try now.read(address, leaves: 0..<16) == blob.cell(address))
        box.close()
        let again = try #require(try box.store().blob(blob.id))
        #expect(try again.read(address, leaves: 0..<16) == blob.cell(address))
        #expect(again.sourcePath == nil)
        // Said until the file is published again, or is what it was; nothing that is kept is
        // damaged.
        let isSame = change == .touched || change == .replaced
        for _ in 0..<2 {
            let report = try box.store().verify()
            #expect(report.damaged.isEmpty && report.staleSources == (isSame ? [] : [path]))
        }
        if isSame { try expectServed(blob, box, path) }
    }

    private func expectServed(_ blob: TestBlob, _ box: StoreBox, _ path: String) throws {
        for _ in 0..<2 {
            let stored = try #require(try box.store().blob(blob.id))
            #expect(stored.sourcePath == path)
            for address in blob.addresses {
                let cell = try blob.cell(address)
                #expect(try stored.served(address, leaves: cell.leaves)?.bytes == cell.bytes)
            }
            let parity = blob.addresses.filter { !blob.geometry.isData($0.shard) }
                .reduce(0) { $0 + blob.geometry.cellLength($1) }
            #expect(try box.store().usage().total == parity, "no second copy")
            #expect(try box.store().registry.staleSources().isEmpty)
            box.close()
        }
    }

    /// Whatever was done to the file, it is served again when its content is back and somebody
    /// looks, and not before.
    @Test(arguments: Change.allCases, FrameCodec.allCases)
    func aFileThatIsBackIsServedAgain(change: Change, codec: FrameCodec) throws {
        let blob = try TestBlob(seed: 8, size: 900_000, codec: codec)
        let box = try StoreBox()
        let (stored, path) = try publish(blob, box)
        switch change {
        case .overwritten: try patch(path) { $0[$0.count - 1] ^= 1 }
        case .truncated: try patch(path) { $0.removeLast(1) }
        case .removed, .turnedIntoAFolder, .replaced:
            try FileManager.default.removeItem(atPath: path)
        case .touched:
            try FileManager.default.setAttributes([.modificationDate: Date()], ofItemAtPath: path)
        }
        if change == .turnedIntoAFolder {
            try FileManager.default.createDirectory(
                atPath: path, withIntermediateDirectories: false)
        }
        try box.store().checkSources()
        #expect(stored.sourcePath == nil)
        let states = try box.store().registry.staleSources().map(\.state)
        let isGone = change == .removed || change == .replaced
        #expect(states == [isGone ? .missing : .changed])
        if change == .turnedIntoAFolder { try FileManager.default.removeItem(atPath: path) }
        try blob.plain.write(to: path)
        #expect(stored.sourcePath == nil)
        #expect(try box.store().verify().isClean)
        #expect(box.book.all.filter { $0.contains("is served again") }.count == 1)
        try expectServed(blob, box, path)
    }

    /// The file lies elsewhere now: its new place is taken, and what is said of the old one does
    /// not concern it.
    @Test func aMovedFileIsServedFromItsNewPlace() throws {
        let blob = try TestBlob(seed: 9, size: 600_000)
        let box = try StoreBox()
        let (stored, path) = try publish(blob, box)
        let address = CellAddress(shard: ShardIndex(0), cell: CellIndex(0))
        #expect(try stored.served(address, leaves: 0..<1) != nil)
        let other = path + ".moved"
        try FileManager.default.moveItem(atPath: path, toPath: other)
        let row = SourceRow(
            blobID: blob.id, path: other, stamp: try FileStamp(readingFileAt: other),
            record: blob.record)
        let isServed = try box.store().restore(stored, from: row)
        #expect(isServed)
        try box.store().checkSources()
        try expectServed(blob, box, other)
    }

    private func expectLetGo(_ blob: TestBlob, _ box: StoreBox, _ path: String) throws {
        let store = try box.store()
        let stored = try #require(store.blob(blob.id))
        for address in blob.addresses where blob.geometry.isData(address.shard) {
            #expect(try stored.read(address, leaves: 0..<1) == nil)
            #expect(try stored.served(address, leaves: 0..<1) == nil)
            #expect(stored.present(address) == .none)
            #expect(stored.layer(of: address.shard) != nil, "the proof stays")
        }
        #expect(stored.heldShards() == [ShardIndex(2), ShardIndex(3)], "parity stays")
        let lines = box.book.all.filter { $0.contains("publish it again") }
        #expect(lines.count == 1)
        #expect(lines.first?.contains(path) == true)
        #expect(try store.registry.source(of: blob.id)?.isStale == true)
    }

    /// The times were set back and the inode kept: only the hashes can tell.
    @Test func aForgedFileIsCaughtByTheHashes() throws {
        let blob = try TestBlob(seed: 6, size: 600_000)
        let box = try StoreBox()
        let (stored, path) = try publish(blob, box)
        try patch(path) { $0[20_000] ^= 1 }
        let forged = SourceRow(
            blobID: blob.id, path: path, stamp: try FileStamp(readingFileAt: path),
            record: blob.record)
        try stored.attach(forged)
        let address = CellAddress(shard: ShardIndex(0), cell: CellIndex(0))
        #expect(try stored.read(address, leaves: 0..<1) == blob.cell(address).part(0..<1))
        #expect(try stored.read(address, leaves: 1..<2) == nil)
        #expect(stored.present(address) == .none)
        #expect(stored.sourcePath == nil, "who has one wrong byte may have others")
        let lines = box.book.all.filter { $0.contains(path) }
        #expect(lines.count == 1 && lines.first?.contains("is not what was published") == true)
    }

    @Test func publishingACachedFileFreesTheCopy() throws {
        let blob = try TestBlob(seed: 7, size: 600_000)
        let box = try StoreBox()
        let stored = try blob.open(in: try box.store())
        for address in blob.addresses { try stored.write(try blob.cell(address)) }
        _ = try publish(blob, box)
        #expect(try box.store().usage().bytes[.cached] == 0)
        for address in blob.addresses {
            #expect(try stored.served(address, leaves: 0..<1) != nil)
        }
        let address = CellAddress(shard: ShardIndex(0), cell: CellIndex(0))
        stored.evict(address)
        #expect(try stored.read(address, leaves: 0..<16) != nil, "nothing to free there")
    }

    @Test func aRecordOfAnotherBlobIsRefused() throws {
        let (blob, other) = (try TestBlob(size: 70_000), try TestBlob(size: 80_000))
        let stored = try blob.open(in: try StoreBox().store())
        let row = SourceRow(
            blobID: blob.id, path: "/nowhere",
            stamp: FileStamp(size: 1, modified: 1, changed: 1, inode: 1), record: other.record)
        #expect(code { try stored.attach(row) } == .corrupt)
    }
}
