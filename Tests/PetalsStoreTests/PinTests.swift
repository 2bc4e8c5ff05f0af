import GRDB
import PetalsCodec
import PetalsCore
import PetalsTesting
import Testing

@testable import PetalsStore

/// Pins: they belong to models, and shards are pinned as long as some pinned model needs them.
@Suite struct PinTests {
    private let shared: TestBlob
    private let own: TestBlob
    private let box: StoreBox

    /// Model `a` consists of one blob, model `b` of the same and another.
    init() throws {
        shared = try TestBlob(seed: 1, size: 70_000)
        own = try TestBlob(seed: 2, size: 70_000)
        box = try StoreBox()
        let store = try box.store()
        try store.registry.add(shared.model("a"), blobs: [shared.row])
        try store.registry.add(own.model("b"), blobs: [shared.row, own.row])
        for blob in [shared, own] {
            let stored = try blob.open(in: store)
            for address in blob.addresses { try stored.write(try blob.cell(address)) }
        }
    }

    private func pin(_ name: String, _ blobs: [TestBlob]) throws {
        let store = try box.store()
        try store.pin(model: name)
        for blob in blobs {
            try store.setClass(.pinned, of: [ShardIndex(0), ShardIndex(1)], blob: blob.id)
        }
    }

    private func pinned(_ blob: TestBlob) throws -> [Int] {
        let stored = try box.store().blob(blob.id)
        let shards = (0..<4).filter { stored?.shardClass(of: ShardIndex($0)) == .pinned }
        // The registry says the same.
        let rows = try box.store().registry.classes(of: blob.id).filter { $0.value == .pinned }
        #expect(rows.keys.map(\.rawValue).sorted() == shards)
        return shards
    }

    @Test func aSharedBlobStaysPinnedUntilTheLastPinGoes() throws {
        let store = try box.store()
        try pin("a", [shared])
        try pin("b", [shared, own])
        #expect(try store.registry.pins() == ["a", "b"])
        try store.unpin(model: "b")
        #expect(try pinned(shared) == [0, 1] && pinned(own).isEmpty)
        try store.unpin(model: "a")
        #expect(try pinned(shared).isEmpty && store.registry.pins().isEmpty)
        #expect(store.usage().bytes[.pinned] == 0 && store.usage().cached == store.usage().total)
        // Twice is as good as once.
        try store.unpin(model: "a")
        #expect(code { try store.pin(model: "c") } == .notFound)
        #expect(code { try store.unpin(model: "c") } == .notFound)
    }

    @Test func aPinGoesWithItsModel() throws {
        let store = try box.store()
        try pin("b", [shared, own])
        try store.remove(blobs: try store.registry.removeModel("b"))
        try store.releasePins()
        #expect(store.blob(own.id) == nil)
        #expect(try pinned(shared).isEmpty && store.registry.pins().isEmpty)
        #expect(store.blob(shared.id)?.heldShards().count == 4)
    }

    @Test func otherClassesAreLeftAlone() throws {
        let store = try box.store()
        try store.pin(model: "a")
        let classes: [ShardClass] = [.pinned, .held, .seeded]
        for (shard, shardClass) in classes.enumerated() {
            try store.setClass(shardClass, of: [ShardIndex(shard)], blob: shared.id)
        }
        try store.unpin(model: "a")
        let after = (0..<4).map { store.blob(shared.id)?.shardClass(of: ShardIndex($0)) }
        #expect(after == [.cached, .held, .seeded, .cached])
    }

    @Test func pinsOutliveTheCacheAndTheProcess() throws {
        try pin("a", [shared])
        try box.store().clearCached()
        box.close()
        let store = try box.store()
        try store.collectGarbage()
        #expect(try store.registry.pins() == ["a"] && pinned(shared) == [0, 1])
        #expect(store.blob(shared.id)?.heldShards() == [0, 1].map { ShardIndex($0) })
        #expect(store.blob(own.id)?.heldShards() == [])
    }

    /// Killed between taking the pin away and its shards' marks: the next start does the rest.
    @Test func aHalfPinIsTakenAwayAtTheStart() throws {
        try pin("a", [shared])
        try box.store().registry.setPinned(false, model: "a")
        box.close()
        try box.store().collectGarbage()
        #expect(try pinned(shared).isEmpty)
        #expect(try box.store().blob(shared.id)?.heldShards().count == 4)
    }

    /// A registry from before there were pins gets a table for them, and keeps what it had.
    @Test func anOlderRegistryIsMigrated() throws {
        box.close()
        do {
            let queue = try DatabaseQueue(path: box.path + "/petals.sqlite")
            try queue.write { database in
                try database.execute(
                    sql: """
                        DROP TABLE pins;
                        DELETE FROM grdb_migrations WHERE identifier = '2';
                        PRAGMA user_version = 1;
                        """)
            }
        }
        #expect(try box.store().registry.models().map(\.name) == ["a", "b"])
        try pin("a", [shared])
        #expect(try pinned(shared) == [0, 1])
    }
}
