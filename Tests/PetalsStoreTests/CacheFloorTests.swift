import Glibc
import PetalsCodec
import PetalsCore
import PetalsTesting
import Synchronization
import Testing

@testable import PetalsStore

/// The floor of free space, on a disk of a size that each test chooses.
@Suite struct CacheFloorTests {
    /// A disk that others write to as well, and a clock that stands still unless it is moved.
    private final class FakeDisk: Sendable {
        struct State: Sendable {
            var size = 16 << 20
            var others = 0
            /// What the disk says instead of the truth.
            var told: Int?
            var questions = 0
            var now = ContinuousClock.now
            /// Bytes that the store has on the disk.
            var used: @Sendable () throws -> Int = { 0 }
        }

        let state = Mutex(State())

        var free: Int {
            get throws {
                let state = state.withLock { $0 }
                return try state.told ?? state.size - state.others - state.used()
            }
        }

        var probe: DiskProbe {
            DiskProbe(
                readSpace: { (_) throws(PetalsError) in
                    self.state.withLock { $0.questions += 1 }
                    do {
                        let size = self.state.withLock { $0.size }
                        return DiskSpace(size: size, free: try self.free)
                    } catch {
                        throw PetalsError(.system, "\(error)")
                    }
                },
                now: { self.state.withLock { $0.now } })
        }

        func wait() { state.withLock { $0.now += .milliseconds(100) } }
    }

    private let blob: TestBlob
    private let box: StoreBox
    private let disk = FakeDisk()
    private let store: Store
    private let stored: StoredBlob
    private let floor = 14 << 20

    init() throws {
        blob = try CacheTests.blob.get()
        box = try StoreBox(floor: floor, probe: disk.probe)
        store = try box.store()
        stored = try blob.open(in: store)
        let folder = box.path + "/blobs/" + blob.id.hex
        disk.state.withLock { state in
            state.used = {
                try Disk.names(in: folder).reduce(0) {
                    try $0 + (DiskFile.open(folder + "/" + $1, .reading)?.readAllocated() ?? 0)
                }
            }
        }
    }

    private var shard: [CellAddress] { blob.addresses.filter { $0.shard == ShardIndex(0) } }

    /// Cells are cached down to the floor and never below, by eight threads; the newest stays.
    @Test func theFloorHolds() throws {
        let (stored, disk, blob, floor, shard) = (stored, disk, blob, floor, shard)
        onThreads(8) { worker in
            var generator = SeededGenerator(seed: UInt64(worker))
            for step in 0..<30 {
                guard let address = shard.randomElement(using: &generator),
                    let cell = blob.cells[address]
                else { return }
                let half = blob.geometry.leafCount(address) / 2
                let isPart = generator.next() % 3 == 0
                let found = code { try stored.write(isPart ? cell.part(0..<half) : cell) }
                #expect(found == nil || found == .noSpace)
                #expect((try? disk.free) ?? 0 >= floor, "worker \(worker), step \(step)")
            }
        }
        #expect(store.usage().cached > 0)
        for address in shard {
            disk.wait()
            try stored.write(try blob.cell(address))
            #expect(try stored.read(address, leaves: 0..<1) != nil)
        }
        #expect(try disk.free >= floor)
        stored.context.ledger.withLock { #expect($0.reserved == 0) }
    }

    /// Others fill the disk: what is cached goes for them; when all has gone, reading goes on
    /// without; what somebody asked to keep is kept; and when there is room, it is used again.
    @Test func othersComeFirst() throws {
        for address in shard.prefix(4) { try stored.write(try blob.cell(address)) }
        #expect(store.usage().cached == 4 * Limits.cellBytes)
        disk.state.withLock { $0.others = 1 << 20 }
        disk.wait()
        try stored.write(try blob.cell(shard[4]))
        #expect(store.usage().cached < 4 * Limits.cellBytes)
        #expect(try disk.free >= floor)

        disk.state.withLock { $0.others = 10 << 20 }
        disk.wait()
        let sentence = message { try stored.write(try blob.cell(shard[5])) }
        #expect(sentence.contains("lower --cache-free"), "\(sentence)")
        #expect(code { try stored.write(try blob.cell(shard[5])) } == .noSpace)
        #expect(store.usage().cached == 0)

        try store.setClass(.pinned, of: [ShardIndex(1)], blob: blob.id)
        let pinned = CellAddress(shard: ShardIndex(1), cell: CellIndex(0))
        try stored.write(try blob.cell(pinned))
        #expect(store.usage().bytes[.pinned] == Limits.cellBytes)

        disk.state.withLock { $0.others = 0 }
        #expect(code { try stored.write(try blob.cell(shard[5])) } == .noSpace, "not asked yet")
        disk.wait()
        try stored.write(try blob.cell(shard[5]))
        #expect(try disk.free >= floor)
    }

    /// What is asked to be kept takes the place of what is cached.
    @Test func keptCellsEvictForTheDisk() throws {
        try store.setClass(.held, of: [ShardIndex(1)], blob: blob.id)
        for address in shard { try stored.write(try blob.cell(address)) }
        let cached = store.usage().cached
        for address in blob.addresses where address.shard == ShardIndex(1) {
            try stored.write(try blob.cell(address))
            disk.wait()
        }
        #expect(store.usage().bytes[.held] == blob.geometry.shardLength(ShardIndex(1)))
        #expect(cached > 0 && store.usage().cached == 0)
    }

    /// A disk that shows late what it was given back does not cost the whole cache.
    @Test func aDiskThatDoesNotAnswerToEvictionIsLeftAlone() throws {
        for address in shard.prefix(6) { try stored.write(try blob.cell(address)) }
        let before = store.usage().cached
        #expect(before == 6 * Limits.cellBytes)
        // One cell is missing, and stays missing; two go for it, as the second is the little more
        // for which the disk need not be asked again.
        disk.state.withLock { $0.told = floor + FreeSpace.marginBytes }
        disk.wait()
        for round in 1...2 {
            for _ in 0..<5 {
                #expect(code { try stored.write(try blob.cell(shard[8])) } == .noSpace)
            }
            #expect(store.usage().cached == before - 2 * round * Limits.cellBytes)
            disk.wait()
        }
    }

    /// The system is asked once for 4 MiB or 100 ms, however many cells come.
    @Test func itIsAskedSeldom() throws {
        disk.state.withLock { state in
            state.size = 1 << 40
            state.questions = 0
        }
        for round in 0..<4 {
            for address in shard.prefix(8) { try stored.write(try blob.cell(address)) }
            for address in shard.prefix(8) { stored.evict(address) }
            #expect(disk.state.withLock { $0.questions } == 1 + round / 2)
        }
        disk.wait()
        try stored.write(try blob.cell(shard[0]))
        #expect(disk.state.withLock { $0.questions } == 3)
    }

    /// A disk that cannot be asked is not written to.
    @Test func aDiskThatDoesNotSay() throws {
        disk.state.withLock { $0.used = { throw PetalsError(.system, "gone") } }
        #expect(code { try stored.write(try blob.cell(shard[0])) } == .system)
        stored.context.ledger.withLock { #expect($0.reserved == 0) }
    }

    /// Without a floor given, it is the usual one of the real disk.
    @Test func theRealDisk() throws {
        let box = try StoreBox(floor: nil)
        let space = try box.store().readDiskSpace()
        #expect(space.free > 0 && space.size >= space.free)
        #expect(try box.store().usage().floor == min(1 << 30, space.size / 20))
    }
}
