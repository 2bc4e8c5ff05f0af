import Foundation
import Glibc
import PetalsCodec
import PetalsCore
import PetalsTesting
import Synchronization
import Testing

@testable import PetalsStore

/// The store as a whole: classes, limits, cleaning up, checking.
@Suite struct StoreTests {
    @Test func thereIsOneInstanceOfABlob() throws {
        let blob = try TestBlob(size: 70_000)
        let store = try StoreBox().store()
        #expect(store.blob(blob.id) == nil)
        let first = try blob.open(in: store)
        #expect(try blob.open(in: store) === first)
        #expect(store.blob(blob.id) === first)
        #expect(store.allBlobs().count == 1)
    }

    @Test func evictionKeepsTheLimit() throws {
        let blob = try TestBlob(size: 1_500_000, k: 1, n: 2)
        let limit = 5 * Limits.cellBytes
        let box = try StoreBox(limit: limit)
        let store = try box.store()
        let stored = try blob.open(in: store)
        try store.setClass(.held, of: [ShardIndex(1)], blob: blob.id)
        let held = CellAddress(shard: ShardIndex(1), cell: CellIndex(0))
        try stored.write(try blob.cell(held))
        for round in 0..<3 {
            for address in blob.addresses where address.shard == ShardIndex(0) {
                try stored.write(try blob.cell(address))
                #expect(store.usage().cached <= limit, "\(round)")
                #expect(try stored.read(address, leaves: 0..<1) != nil, "the newest stays")
            }
        }
        #expect(try stored.read(held, leaves: 0..<16) != nil)
        // What the accounts say is what the disk has.
        #expect(try box.allocated(blob) == store.usage().total)
    }

    @Test func whatCannotBeCachedIsRefused() throws {
        let blob = try TestBlob(size: 600_000, k: 1, n: 2)
        let box = try StoreBox(limit: Limits.cellBytes - 1)
        let stored = try blob.open(in: try box.store())
        let first = CellAddress(shard: ShardIndex(0), cell: CellIndex(0))
        let sentence = message { try stored.write(try blob.cell(first)) }
        #expect(sentence.contains("raise --cache-size"), "\(sentence)")
        #expect(code { try stored.write(try blob.cell(first)) } == .noSpace)
        #expect(stored.present(first) == .none)
        #expect(try box.allocated(blob) == 0)
        // What somebody asked to keep is kept.
        for shardClass in [ShardClass.pinned, .held, .seeded] {
            try box.store().setClass(shardClass, of: [ShardIndex(1)], blob: blob.id)
            for address in blob.addresses where address.shard == ShardIndex(1) {
                try stored.write(try blob.cell(address))
                stored.evict(address)
            }
        }
    }

    @Test func clearingTheCacheLeavesTheRest() throws {
        let blob = try TestBlob()
        let box = try StoreBox()
        let classes: [ShardClass] = [.cached, .pinned, .held, .seeded]
        do {
            let store = try box.store()
            try store.registry.add(blob.model("m"), blobs: [blob.row])
            let stored = try blob.open(in: store)
            for (shard, shardClass) in classes.enumerated() {
                try store.setClass(shardClass, of: [ShardIndex(shard)], blob: blob.id)
            }
            for address in blob.addresses { try stored.write(try blob.cell(address)) }
        }
        box.close()
        let store = try box.store()
        let stored = try #require(store.blob(blob.id))
        for (shard, shardClass) in classes.enumerated() {
            #expect(stored.shardClass(of: ShardIndex(shard)) == shardClass)
            let length = blob.geometry.shardLength(ShardIndex(shard))
            #expect(store.usage().bytes[shardClass] == length)
        }
        try store.clearCached()
        #expect(stored.heldShards() == [1, 2, 3].map { ShardIndex($0) })
        #expect(store.usage().bytes[.cached] == 0)
        let names = try Disk.names(in: box.path + "/blobs/" + blob.id.hex)
        #expect(!names.contains("0.data") && !names.contains("0.tree") && names.count == 6)
        // And it can be cached again.
        try stored.keep(blob.layers[0])
        for address in blob.addresses { try stored.write(try blob.cell(address)) }
        #expect(stored.heldShards().count == 4)
        #expect(try store.verify().isClean)
    }

    @Test func removedBlobsAreGoneForThoseWhoHoldThem() throws {
        let blob = try TestBlob(size: 70_000)
        let box = try StoreBox()
        let store = try box.store()
        try store.registry.add(blob.model("m"), blobs: [blob.row])
        let stored = try blob.open(in: store)
        for address in blob.addresses { try stored.write(try blob.cell(address)) }
        try store.remove(blobs: try store.registry.removeModel("m"))
        #expect(store.blob(blob.id) == nil && store.usage().total == 0)
        #expect(try Disk.names(in: box.path + "/blobs").isEmpty)
        for address in blob.addresses {
            #expect(try stored.read(address, leaves: 0..<1) == nil)
            #expect(code { try stored.write(try blob.cell(address)) } == .notFound)
        }
        #expect(code { try stored.keep(blob.layers[0]) } == .notFound)
        let again = try blob.open(in: store)
        #expect(again !== stored)
        for address in blob.addresses { try again.write(try blob.cell(address)) }
    }

    @Test func garbageIsCollected() throws {
        let (used, orphan) = (try TestBlob(seed: 1, size: 70_000), try TestBlob(seed: 2))
        let held = try TestBlob(seed: 3, size: 70_000)
        let box = try StoreBox()
        do {
            let store = try box.store()
            try store.registry.add(used.model("m"), blobs: [used.row])
            try store.registry.storeManifest(Array("m".utf8), id: used.model("m").manifestID)
            try store.registry.storeManifest([1], id: sha256([1]))
            for blob in [used, orphan, held] {
                let stored = try blob.open(in: store)
                for address in blob.addresses { try stored.write(try blob.cell(address)) }
            }
            try store.setClass(.held, of: [ShardIndex(1)], blob: held.id)
            try store.setClass(.seeded, of: [ShardIndex(1)], blob: orphan.id)
            _ = try store.context.folder.identitySeed()
        }
        box.close()
        let stray = box.path + "/blobs/" + sha256([7]).hex
        for folder in [stray, box.path + "/blobs/other"] {
            try Disk.makeFolder(folder)
            try [UInt8]([1]).write(to: folder + "/0.data")
        }
        for name in ["listen.part-x1", "manifests/ab.part-2"] {
            try [UInt8]([1]).write(to: box.path + "/" + name)
        }
        let store = try box.store()
        try store.collectGarbage()
        #expect(
            try Disk.names(in: box.path + "/blobs") == [used.id.hex, held.id.hex].sorted())
        #expect(
            try Disk.names(in: box.path + "/manifests") == [used.model("m").manifestID.hex])
        let names = try Disk.names(in: box.path)
        #expect(!names.contains { $0.contains(".part-") } && names.contains("identity.key"))
        #expect(Set(store.allBlobs().map(\.id)) == [used.id, held.id])
        #expect(try store.verify().cells == used.cells.count + held.cells.count)
    }

    @Test func verifyFindsEachDamagedCellOnce() throws {
        let blob = try TestBlob()
        let box = try StoreBox()
        let store = try box.store()
        let stored = try blob.open(in: store)
        for address in blob.addresses { try stored.write(try blob.cell(address)) }
        try patch(box.file(blob, ShardIndex(0), "data")) { $0[0] ^= 1 }
        try patch(box.file(blob, ShardIndex(3), "data")) { $0[Limits.cellBytes] ^= 128 }
        try patch(box.file(blob, ShardIndex(1), "tree")) { $0[32 * 3] ^= 1 }
        var steps = 0
        let report = try store.verify { _ in steps += 1 }
        let expected = [(0, 0), (1, 0), (3, 1)].map { shard, cell in
            VerifyReport.Damage(
                blobID: blob.id,
                address: CellAddress(shard: ShardIndex(shard), cell: CellIndex(cell)))
        }
        #expect(report.damaged == expected)
        #expect(report.cells == blob.addresses.count && steps == report.cells)
        let second = try store.verify()
        #expect(second.isClean && second.cells == report.cells - 3)
    }

    @Test func aFullDiskEvictsAndThenRefuses() throws {
        let blob = try TestBlob(size: 1_000_000, k: 1, n: 2)
        let plan = FaultPlan()
        let box = try StoreBox(faults: plan.faults)
        let store = try box.store()
        let stored = try blob.open(in: store)
        let shard = blob.addresses.filter { $0.shard == ShardIndex(0) }
        for address in shard.prefix(3) { try stored.write(try blob.cell(address)) }
        // The disk is full until something is freed.
        plan.set { operation, path, _ in
            if operation == .punch { plan.set(nil) }
            return operation == .write && path.hasSuffix(".data") ? .torn(100, ENOSPC) : nil
        }
        try stored.write(try blob.cell(shard[3]))
        #expect(try stored.read(shard[3], leaves: 0..<1) != nil)
        // The disk stays full.
        plan.set { operation, path, _ in
            operation == .write && path.hasSuffix(".data") ? .fail(ENOSPC) : nil
        }
        stored.evict(shard[3])
        #expect(code { try stored.write(try blob.cell(shard[3])) } == .noSpace)
        #expect(code { try stored.write(try blob.cell(shard[3])) } == .noSpace)
        stored.context.ledger.withLock { #expect($0.reserved == 0) }
    }

    /// A real disk of 4 MiB, where the test may mount one.
    @Test func aRealFullDisk() throws {
        let folder = try TemporaryFolder()
        let path = folder.path + "/disk"
        try Disk.makeFolder(path)
        // SAFETY: the texts are passed as NUL-terminated copies that live through the call.
        let result = unsafe mount("tmpfs", path, "tmpfs", 0, "size=4m")
        guard result == 0 else {
            print("skipped: cannot mount a tmpfs here")
            return
        }
        // SAFETY: as above. 2 is MNT_DETACH, in case a file is still open.
        defer { _ = unsafe umount2(path, 2) }
        let blob = try TestBlob(size: 6_000_000, k: 1, n: 2)
        let book = LogBook()
        let store = try Store(
            folder: StateFolder(opening: path + "/state"), logger: book.logger, limit: nil)
        let stored = try blob.open(in: store)
        for address in blob.addresses where address.shard == ShardIndex(0) {
            try stored.write(try blob.cell(address))
            #expect(try stored.read(address, leaves: 0..<1) != nil)
        }
        #expect(store.usage().total < 4 << 20)
        try store.setClass(.pinned, of: [ShardIndex(0)], blob: blob.id)
        var refusals = 0
        for address in blob.addresses {
            let found = code { try stored.write(try blob.cell(address)) }
            #expect(found == nil || found == .noSpace)
            refusals += found == .noSpace ? 1 : 0
        }
        #expect(refusals > 0)
        #expect(try store.verify().isClean)
        stored.context.ledger.withLock { #expect($0.reserved == 0) }
    }
}
