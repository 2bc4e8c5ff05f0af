import Glibc
import PetalsCodec
import PetalsCore
import PetalsTesting
import Synchronization
import Testing

@testable import PetalsStore

/// The cache's limit under threads, restarts and changes of class: in the accounts and on the disk.
@Suite struct CacheTests {
    /// Bytes that a file may take besides its cells: ext4 keeps the list of a file's pieces in a
    /// block of its own when there are more than four.
    static let extentBytes = 4096

    /// A blob whose first shard has 12 cells, all in one data file, so that one look at the file is
    /// a look at all that is cached.
    static let blob = Result { try TestBlob(seed: 4, size: 3_000_000, k: 1, n: 2) }

    /// Eight threads write, whole cells and parts, read and evict; after each step of each, the
    /// accounts and the file are within the limit.
    @Test(arguments: [1, 3, 5]) func eightWritersNeverExceedTheLimit(cells: Int) throws {
        let blob = try Self.blob.get()
        let limit = cells * Limits.cellBytes + Self.extentBytes
        let box = try StoreBox(limit: limit)
        let store = try box.store()
        let stored = try blob.open(in: store)
        let path = box.file(blob, ShardIndex(0), "data")
        let shard = blob.addresses.filter { $0.shard == ShardIndex(0) }
        try stored.write(try blob.cell(shard[0]))
        let file = try #require(try DiskFile.open(path, .reading))
        let written = Atomic<Int>(0)
        onThreads(8) { worker in
            var generator = SeededGenerator(seed: UInt64(worker))
            for step in 0..<60 {
                let comment: Comment = "worker \(worker), step \(step)"
                guard let address = shard.randomElement(using: &generator),
                    let cell = blob.cells[address]
                else { return }
                let half = blob.geometry.leafCount(address) / 2
                let isPart = generator.next() % 3 == 0
                let found = code { try stored.write(isPart ? cell.part(0..<half) : cell) }
                #expect(found == nil || found == .noSpace, comment)
                if found == nil { written.wrappingAdd(1, ordering: .relaxed) }
                if generator.next() % 8 == 0 { stored.evict(address) }
                let read = try? stored.read(address, leaves: 0..<half)
                #expect(read == nil || read == cell.part(0..<half), comment)
                #expect((try? file.readAllocated()) ?? .max <= limit, comment)
                stored.context.ledger.withLock { ledger in
                    #expect(ledger.counted <= limit && ledger.used(.cached) <= limit, comment)
                }
            }
        }
        #expect(written.load(ordering: .relaxed) > 0)
        let (cached, pending) = stored.context.ledger.withLock { ledger in
            ledger.checkInvariants(isThorough: true)
            #expect(ledger.reserved == 0 && ledger.stranded == 0)
            return (ledger.used(.cached), ledger.pending)
        }
        let surplus = try file.readAllocated() - (cached - pending)
        #expect((0...Self.extentBytes).contains(surplus), "\(surplus)")
        #expect(box.book.all.filter { $0.hasPrefix("warning") } == [])
    }

    /// A shard changes between pinned and cached while its cells are written and evicted: at no
    /// moment does the limit lose sight of them.
    @Test func classesChangeWhileCellsAreWritten() throws {
        let blob = try Self.blob.get()
        let limit = 3 * Limits.cellBytes
        let box = try StoreBox(limit: limit)
        let store = try box.store()
        try store.registry.add(blob.model("m"), blobs: [blob.row])
        let stored = try blob.open(in: store)
        let shard = blob.addresses.filter { $0.shard == ShardIndex(0) }
        onThreads(5) { worker in
            if worker == 0 {
                for step in 0..<60 {
                    let found = Self.setClass(step % 2 == 0 ? .pinned : .cached, of: blob, store)
                    #expect(found == nil)
                }
            } else {
                Self.writeAndEvict(shard, of: blob, stored, seed: UInt64(worker), limit: limit)
            }
        }
        #expect(stored.shardClass(of: ShardIndex(0)) == .cached)
        stored.context.ledger.withLock { ledger in
            ledger.checkInvariants(isThorough: true)
            #expect(ledger.reserved == 0 && ledger.used(.pinned) == 0)
        }
        let surplus = try box.allocated(blob) - store.usage().cached
        #expect((0...Self.extentBytes).contains(surplus), "\(surplus)")
        #expect(try store.verify().isClean)
    }

    private static func setClass(
        _ shardClass: ShardClass, of blob: TestBlob, _ store: Store
    ) -> PetalsError.Code? {
        code { try store.setClass(shardClass, of: [ShardIndex(0)], blob: blob.id) }
    }

    private static func writeAndEvict(
        _ shard: [CellAddress], of blob: TestBlob, _ stored: StoredBlob, seed: UInt64, limit: Int
    ) {
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<60 {
            guard let address = shard.randomElement(using: &generator),
                let cell = blob.cells[address]
            else { return }
            let found = code { try stored.write(cell) }
            #expect(found == nil || found == .noSpace)
            if generator.next() % 4 == 0 { stored.evict(address) }
            stored.context.ledger.withLock { #expect($0.counted <= limit) }
        }
    }

    /// What an earlier run cached is cut to the limit before anybody sees it.
    @Test(arguments: 0...4) func aSmallerLimitHoldsFromTheStart(cells: Int) throws {
        let blob = try TestBlob(size: 600_000, k: 1, n: 4)
        let box = try StoreBox()
        do {
            let store = try box.store()
            try store.registry.add(blob.model("m"), blobs: [blob.row])
            let stored = try blob.open(in: store)
            try store.setClass(.pinned, of: [ShardIndex(3)], blob: blob.id)
            for address in blob.addresses { try stored.write(try blob.cell(address)) }
        }
        box.close()
        let limit = cells * Limits.cellBytes
        let store = try box.store(limit: limit)
        let stored = try #require(store.blob(blob.id))
        let usage = store.usage()
        #expect(usage.cached <= limit && usage.cached > limit - Limits.cellBytes)
        #expect(usage.bytes[.pinned] == blob.geometry.shardLength(ShardIndex(3)))
        #expect(try box.allocated(blob) == usage.total)
        for address in blob.addresses {
            let read = try stored.read(address, leaves: 0..<blob.geometry.leafCount(address))
            let isHere = !stored.present(address).isEmpty
            #expect(try read == (isHere ? blob.cell(address) : nil))
        }
        #expect(try store.verify().isClean)
        #expect(box.book.all.contains { $0.contains("more than the cache may have") })
    }

    /// What is unpinned takes the place of what was cached before, and no more than there is.
    @Test func unpinnedCellsFitTheLimit() throws {
        let blob = try Self.blob.get()
        let limit = 5 * Limits.cellBytes
        let box = try StoreBox(limit: limit)
        let store = try box.store()
        let stored = try blob.open(in: store)
        try store.setClass(.pinned, of: [ShardIndex(0)], blob: blob.id)
        for address in blob.addresses {
            try stored.write(try blob.cell(address))
        }
        let pinned = blob.geometry.shardLength(ShardIndex(0))
        #expect(store.usage().bytes[.pinned] == pinned && store.usage().cached > 0)
        try store.setClass(.cached, of: [ShardIndex(0)], blob: blob.id)
        #expect(store.usage().cached <= limit && store.usage().bytes[.pinned] == 0)
        #expect(!stored.holdings(of: ShardIndex(0)).isEmpty, "they are cached, as far as it goes")
        let surplus = try box.allocated(blob) - store.usage().cached
        #expect((0...2 * Self.extentBytes).contains(surplus), "\(surplus)")
        #expect(try store.verify().isClean)
    }

    /// A disk that does not give space back: the cell is gone, and its bytes still count.
    @Test func whatCannotBeFreedCounts() throws {
        let blob = try Self.blob.get()
        let plan = FaultPlan()
        let box = try StoreBox(limit: 2 * Limits.cellBytes, faults: plan.faults)
        let stored = try blob.open(in: try box.store())
        let shard = blob.addresses.filter { $0.shard == ShardIndex(0) }
        for address in shard.prefix(2) { try stored.write(try blob.cell(address)) }
        plan.set { operation, _, _ in operation == .punch ? .fail(EIO) : nil }
        stored.evict(shard[0])
        #expect(stored.present(shard[0]).isEmpty)
        plan.set(nil)
        for address in shard.dropFirst(2) {
            try stored.write(try blob.cell(address))
            #expect(try box.allocated(blob) <= 2 * Limits.cellBytes)
        }
        stored.context.ledger.withLock { #expect($0.stranded == Limits.cellBytes) }
    }

    /// A file that somebody is reading is empty on the disk before the accounts let go of it.
    @Test func clearingFreesOpenFilesToo() throws {
        let blob = try Self.blob.get()
        let box = try StoreBox()
        let store = try box.store()
        let stored = try blob.open(in: store)
        for address in blob.addresses { try stored.write(try blob.cell(address)) }
        let file = try #require(
            try DiskFile.open(box.file(blob, ShardIndex(0), "data"), .reading))
        #expect(try file.readAllocated() > 0)
        try store.clearCached()
        #expect(try file.readAllocated() == 0 && store.usage().total == 0)
    }

    /// A model is evicted while four threads read it: they see its bytes or none, its other shards
    /// stay, and so do the trees, with which it is filled again.
    @Test func evictingUnderReaders() throws {
        let blob = try TestBlob(seed: 5, k: 2, n: 5)
        let box = try StoreBox()
        let store = try box.store()
        let stored = try blob.open(in: store)
        for (shard, shardClass) in [(2, ShardClass.pinned), (3, .held), (4, .seeded)] {
            try store.setClass(shardClass, of: [ShardIndex(shard)], blob: blob.id)
        }
        let cached = blob.addresses.filter { $0.shard.rawValue < 2 }
        let bytes = cached.reduce(0) { $0 + blob.geometry.cellLength($1) }
        for address in blob.addresses { try stored.write(try blob.cell(address)) }
        let isDone = Atomic<Bool>(false)
        onThreads(5) { worker in
            if worker == 0 {
                for _ in 0..<20 {
                    var progress = 0
                    let gone = store.evictCached(of: [blob.id, sha256([1])]) { progress += $0 }
                    #expect(gone.cells == cached.count && gone.bytes == bytes)
                    #expect(progress == bytes && store.usage().cached == 0)
                    for cell in cached.compactMap({ blob.cells[$0] }) {
                        #expect(code { try stored.write(cell) } == nil)
                    }
                }
                isDone.store(true, ordering: .relaxed)
            } else {
                var generator = SeededGenerator(seed: UInt64(worker))
                while !isDone.load(ordering: .relaxed) {
                    let address = cached.randomElement(using: &generator)
                    guard let cell = address.flatMap({ blob.cells[$0] }) else { return }
                    let found = try? stored.read(cell.address, leaves: cell.leaves)
                    #expect(found == nil || found == cell)
                }
            }
        }
        #expect(store.evictCached(of: [blob.id]).cells == cached.count)
        for shard in 0..<2 {
            #expect(stored.layer(of: ShardIndex(shard)) != nil)
            #expect(stored.holdings(of: ShardIndex(shard)).isEmpty)
        }
        for shard in 2..<5 { #expect(stored.holdings(of: ShardIndex(shard)).isComplete) }
        #expect(try box.allocated(blob) == store.usage().total)
        #expect(box.book.all.filter { $0.hasPrefix("warning") } == [])
    }
}
