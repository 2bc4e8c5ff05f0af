import Foundation
import PetalsCodec
import PetalsCore
import PetalsTesting
import Synchronization
import Testing

@testable import PetalsStore

/// One blob on the disk: every read is right or absent, whatever happened to its files.
@Suite struct StoredBlobTests {
    /// Random writes, reads, evictions and restarts against sets of leaves in memory.
    @Test(arguments: 0..<6) func memorySaysTheSame(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let blob = try TestBlob(seed: seed, size: 600_000, rowsPerGroup: seed % 2 == 0 ? 1 : 700)
        let box = try StoreBox(filesMax: 3)
        var stored = try blob.open(in: try box.store())
        var model: [CellAddress: LeafSet] = [:]
        for _ in 0..<150 {
            let address = try #require(blob.addresses.randomElement(using: &generator))
            let count = blob.geometry.leafCount(address)
            let first = Int.random(in: 0..<count, using: &generator)
            let leaves = first..<Int.random(in: first + 1...count, using: &generator)
            switch generator.next() % 10 {
            case 0..<4:
                try stored.write(try blob.cell(address).part(leaves))
                model[address] = (model[address] ?? .none).union(LeafSet(leaves))
            case 4:
                try stored.write(try blob.cell(address))
                model[address] = LeafSet(first: count)
            case 5:
                stored.evict(address)
                model[address] = nil
            case 6:
                box.close()
                stored = try blob.open(in: try box.store())
                // Cells that were not complete are forgotten.
                model = model.filter { $0.value.count == blob.geometry.leafCount($0.key) }
            default:
                let isThere = (model[address] ?? .none).isSuperset(of: LeafSet(leaves))
                let read = try stored.read(address, leaves: leaves)
                let expected = isThere ? try blob.cell(address).part(leaves) : nil
                #expect(read == expected, "seed \(seed)")
            }
            check(stored, blob, model, seed)
        }
        #expect(box.book.all.filter { $0.hasPrefix("warning") } == [], "seed \(seed)")
    }

    private func check(
        _ stored: StoredBlob, _ blob: TestBlob, _ model: [CellAddress: LeafSet], _ seed: UInt64
    ) {
        var held: Set<ShardIndex> = []
        var used = 0
        for address in blob.addresses {
            let mask = model[address] ?? LeafSet.none
            #expect(stored.present(address) == mask, "seed \(seed)")
            let isComplete = mask.count == blob.geometry.leafCount(address)
            #expect(
                stored.holdings(of: address.shard).contains(address.cell) == isComplete,
                "seed \(seed)")
            if isComplete { held.insert(address.shard) }
            if !mask.isEmpty { used += blob.geometry.cellLength(address) }
        }
        #expect(stored.heldShards() == held.sorted(), "seed \(seed)")
        stored.context.ledger.withLock { ledger in
            #expect(ledger.used(.cached) == used && ledger.reserved == 0, "seed \(seed)")
            ledger.checkInvariants(isThorough: true)
        }
    }

    @Test func whatIsServedIsAcceptedByAPeer() throws {
        let blob = try TestBlob()
        let stored = try blob.open(in: try StoreBox().store())
        let address = CellAddress(shard: ShardIndex(3), cell: CellIndex(0))
        let layer = blob.layers[3]
        try stored.write(try blob.cell(address).part(0..<15))
        #expect(try stored.served(address, leaves: 0..<1) == nil, "not complete")
        let changes = stored.changes
        try stored.write(try blob.cell(address).part(15..<16))
        #expect(stored.changes > changes)
        for first in 0..<16 {
            for end in first + 1...16 {
                let served = try #require(try stored.served(address, leaves: first..<end))
                let verified = layer.verify(
                    address: address, leaves: first..<end, bytes: served.bytes,
                    proof: served.proof, leafCount: 16)
                #expect(try verified == blob.cell(address).part(first..<end))
            }
        }
    }

    @Test func nonsenseIsAbsentAndNoTrap() throws {
        let blob = try TestBlob()
        let stored = try blob.open(in: try StoreBox().store())
        let address = CellAddress(shard: ShardIndex(0), cell: CellIndex(0))
        try stored.write(try blob.cell(address))
        for shard in [-1, 4, Int.max] {
            let outside = CellAddress(shard: ShardIndex(shard), cell: CellIndex(0))
            #expect(stored.present(outside) == .none)
            #expect(try stored.read(outside, leaves: 0..<1) == nil)
            #expect(stored.layer(of: outside.shard) == nil)
            #expect(stored.holdings(of: outside.shard).isEmpty)
            stored.evict(outside)
        }
        for cell in [-1, 2, Int.max] {
            let outside = CellAddress(shard: ShardIndex(0), cell: CellIndex(cell))
            #expect(stored.present(outside) == .none)
            #expect(try stored.served(outside, leaves: 0..<1) == nil)
        }
        for leaves in [0..<0, -1..<1, 0..<17, 16..<17, 0..<Int.max] {
            #expect(try stored.read(address, leaves: leaves) == nil)
        }
    }

    @Test func leavesNeedTheirLayerAndTheirBlob() throws {
        let (blob, other) = (try TestBlob(seed: 1), try TestBlob(seed: 2))
        let store = try StoreBox().store()
        let stored = try store.blob(
            id: blob.id, relayKey: blob.relayKey, descriptor: blob.sealedDescriptor)
        let address = CellAddress(shard: ShardIndex(1), cell: CellIndex(1))
        #expect(code { try stored.write(try blob.cell(address)) } == .corrupt)
        #expect(code { try stored.keep(other.layers[1]) } == .corrupt)
        try stored.keep(blob.layers[1])
        try stored.keep(blob.layers[1])
        #expect(stored.layer(of: ShardIndex(1)) == blob.layers[1])
        #expect(code { try stored.write(try other.cell(address)) } == .corrupt)
        // Leaf by leaf it is noticed at the last one.
        for leaf in 0..<3 { try stored.write(try other.cell(address).part(leaf..<leaf + 1)) }
        #expect(stored.present(address) == .none)
        #expect(store.usage().total == 0)
        try stored.write(try blob.cell(address))
        #expect(try stored.read(address, leaves: 0..<3) == blob.cell(address))
        #expect(
            code {
                _ = try store.blob(
                    id: other.id, relayKey: blob.relayKey, descriptor: blob.sealedDescriptor)
            } == .corrupt)
    }

    /// Cuts and clears both files at every leaf, hash and layer edge, and a byte beside it.
    @Test(arguments: ["data", "tree"], [true, false])
    func tornFilesGiveNoWrongByte(kind: String, cuts: Bool) throws {
        let blob = try TestBlob(size: 300_000, k: 1, n: 2)
        let box = try StoreBox()
        let shard = ShardIndex(1)
        let step = kind == "data" ? Limits.leafBytes : Digest.byteCount
        let size = kind == "data" ? blob.geometry.shardLength(shard) : (19 + 2) * 32
        for edge in stride(from: 0, to: size, by: step) {
            for shift in [0, 1] {
                let stored = try blob.open(in: try box.store())
                for address in blob.addresses where address.shard == shard {
                    try stored.write(try blob.cell(address))
                }
                box.close()
                try patch(box.file(blob, shard, kind)) { bytes in
                    #expect(bytes.count == size)
                    if cuts {
                        bytes.removeLast(bytes.count - edge - shift)
                    } else {
                        for i in edge + shift..<min(edge + shift + step, size) { bytes[i] = 0 }
                    }
                }
                try expectRightOrAbsent(box, blob)
                #expect(try box.store().verify().isClean, "what was wrong is forgotten")
                box.close()
            }
        }
    }

    private func expectRightOrAbsent(_ box: StoreBox, _ blob: TestBlob) throws {
        let stored = try #require(try box.store().blob(blob.id))
        for address in blob.addresses {
            let all = 0..<blob.geometry.leafCount(address)
            for leaves in [all, 0..<1, all.upperBound - 1..<all.upperBound] {
                let read = try stored.read(address, leaves: leaves)
                #expect(try read == nil || read == blob.cell(address).part(leaves))
            }
            // What lies damaged on the disk may be sent; a peer must not accept it.
            if let served = try stored.served(address, leaves: all) {
                let accepted = blob.layers[address.shard.rawValue].verify(
                    address: address, leaves: all, bytes: served.bytes, proof: served.proof,
                    leafCount: all.count)
                #expect(try accepted == nil || accepted == blob.cell(address))
            }
        }
    }

    @Test func aFlippedBitIsFoundSaidAndForgotten() throws {
        let blob = try TestBlob()
        let box = try StoreBox()
        let stored = try blob.open(in: try box.store())
        for address in blob.addresses { try stored.write(try blob.cell(address)) }
        let address = CellAddress(shard: ShardIndex(2), cell: CellIndex(1))
        let file = box.file(blob, address.shard, "data")
        try patch(file) { $0[Limits.cellBytes + Limits.leafBytes + 5] ^= 4 }
        #expect(try stored.read(address, leaves: 0..<1) != nil, "another leaf is whole")
        #expect(try stored.read(address, leaves: 1..<2) == nil)
        #expect(stored.present(address) == .none)
        let lines = box.book.all.filter { $0.hasPrefix("warning") }
        #expect(lines.count == 1)
        #expect(lines[0].contains(file) && lines[0].contains(blob.id.hex))
        #expect(lines[0].contains("shard 2 cell 1"))
        try stored.write(try blob.cell(address))
        #expect(try stored.read(address, leaves: 1..<2) != nil)
    }

    /// After a restart leaves are hashed when they are first read, then compared with a checksum.
    @Test func aBitThatFlipsBetweenTwoReadsIsFound() throws {
        let blob = try TestBlob(size: 300_000)
        let box = try StoreBox()
        let first = try blob.open(in: try box.store())
        for address in blob.addresses { try first.write(try blob.cell(address)) }
        box.close()
        let stored = try #require(try box.store().blob(blob.id))
        for address in blob.addresses {
            let all = 0..<blob.geometry.leafCount(address)
            for _ in 0..<2 {
                #expect(try stored.read(address, leaves: all) == blob.cell(address))
            }
            let place = address.cell.rawValue * Limits.cellBytes + address.shard.rawValue
            try patch(box.file(blob, address.shard, "data")) { $0[place] ^= 1 }
            #expect(try stored.read(address, leaves: all) == nil)
            #expect(stored.present(address) == .none)
        }
    }

    /// A disk that fails at each operation of a write, in each way: the write throws or is done,
    /// and what is read afterwards, also after a restart, is right or absent.
    @Test(arguments: 0..<4) func aFailingDisk(way: Int) throws {
        let blob = try TestBlob(size: 70_000, k: 1, n: 2)
        let address = CellAddress(shard: ShardIndex(0), cell: CellIndex(0))
        var isFailing = true
        for failing in 0..<30 where isFailing {
            let plan = FaultPlan()
            let box = try StoreBox(faults: plan.faults)
            let stored = try blob.open(in: try box.store())
            plan.state.withLock { $0.operations = 0 }
            plan.set { operation, _, count in
                guard plan.state.withLock({ $0.operations - 1 }) == failing else { return nil }
                switch way {
                case 0: return .fail(5)
                case 1: return .fail(28)
                case 2: return operation == .write ? .torn(count / 2, 5) : .fail(5)
                default: return operation == .write ? .short(count / 3) : nil
                }
            }
            let found = code {
                try stored.write(try blob.cell(address).part(0..<3))
                try stored.write(try blob.cell(address).part(2..<5))
            }
            isFailing = plan.state.withLock { $0.operations } > failing
            #expect(found == nil || way < 3)
            plan.set(nil)
            try expectRightOrAbsent(box, blob)
            let used = stored.present(address).isEmpty ? 0 : blob.geometry.cellLength(address)
            #expect(try box.store().usage().total == used)
            stored.context.ledger.withLock { #expect($0.reserved == 0) }
            box.close()
            try expectRightOrAbsent(box, blob)
            let again = try blob.open(in: try box.store())
            try again.write(try blob.cell(address))
            #expect(try again.read(address, leaves: 0..<5) == blob.cell(address))
        }
        #expect(!isFailing, "the last run met no fault")
    }

    @Test func openFilesAreBounded() throws {
        let blob = try TestBlob(size: 600_000, k: 2, n: 4, rowsPerGroup: 1)
        let box = try StoreBox(filesMax: 3)
        let stored = try blob.open(in: try box.store())
        for address in blob.addresses { try stored.write(try blob.cell(address)) }
        for address in blob.addresses { #expect(try stored.read(address, leaves: 0..<1) != nil) }
        #expect(stored.context.files.count == 3)
    }

    @Test func aLinkInPlaceOfAFileIsNotFollowed() throws {
        let blob = try TestBlob(size: 70_000, k: 1, n: 2)
        let box = try StoreBox()
        let stored = try blob.open(in: try box.store())
        let victim = box.folder.path + "/victim"
        try [UInt8]([1, 2, 3]).write(to: victim)
        try FileManager.default.createSymbolicLink(
            atPath: box.file(blob, ShardIndex(0), "data"), withDestinationPath: victim)
        let address = CellAddress(shard: ShardIndex(0), cell: CellIndex(0))
        #expect(code { try stored.write(try blob.cell(address)) } == .system)
        #expect(try Array(Data(contentsOf: URL(fileURLWithPath: victim))) == [1, 2, 3])
    }

    /// A cell that is evicted, and perhaps stored again, between the look at the map and the read
    /// of its bytes is absent or right, and no damage.
    @Test(arguments: [false, true], ["data", "tree"])
    func evictedWhileItIsRead(isStoredAgain: Bool, kind: String) throws {
        let blob = try TestBlob()
        let plan = FaultPlan()
        let box = try StoreBox(faults: plan.faults)
        let stored = try blob.open(in: try box.store())
        let address = CellAddress(shard: ShardIndex(0), cell: CellIndex(0))
        let cell = try blob.cell(address)
        try stored.write(cell)
        plan.set { operation, path, _ in
            guard operation == .read, path.hasSuffix(kind) else { return nil }
            plan.set(nil)
            stored.evict(address)
            guard isStoredAgain else { return nil }
            #expect(code { try stored.write(cell) } == nil)
            // As if the bytes of the time between were read.
            return kind == "data" ? .fail(5) : nil
        }
        #expect(try stored.read(address, leaves: 0..<16) == (isStoredAgain ? cell : nil))
        #expect(stored.present(address) == (isStoredAgain ? LeafSet(first: 16) : .none))
        #expect(!box.book.all.contains { $0.contains("does not match") })
        #expect(try box.store().usage().total == (isStoredAgain ? Limits.cellBytes : 0))
    }

    /// The same while all cells of the shard are forgotten again and again: reading ends.
    @Test func readingEnds() throws {
        let blob = try TestBlob()
        let plan = FaultPlan()
        let box = try StoreBox(faults: plan.faults)
        let stored = try blob.open(in: try box.store())
        let address = CellAddress(shard: ShardIndex(0), cell: CellIndex(0))
        let cell = try blob.cell(address)
        try stored.write(cell)
        plan.set { operation, path, _ in
            guard operation == .read, path.hasSuffix("data") else { return nil }
            stored.evict(address)
            #expect(code { try stored.write(cell) } == nil)
            stored.evict(address)
            #expect(code { try stored.write(cell.part(0..<1)) } == nil)
            return .fail(5)
        }
        #expect(try stored.read(address, leaves: 0..<1) == nil)
    }

    /// Writers, readers and evictors of one blob under a limit of half of it.
    @Test func manyAtOnce() async throws {
        let blob = try TestBlob(size: 600_000, rowsPerGroup: 1)
        let total = blob.addresses.reduce(0) { $0 + blob.geometry.cellLength($1) }
        let box = try StoreBox(limit: total / 2, filesMax: 4)
        let store = try box.store()
        let stored = try blob.open(in: store)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for worker in 0..<6 {
                group.addTask {
                    var generator = SeededGenerator(seed: UInt64(worker))
                    for _ in 0..<120 {
                        let address = blob.addresses.randomElement(using: &generator)
                        let cell = try blob.cell(try #require(address))
                        switch generator.next() % 4 {
                        case 0: stored.evict(cell.address)
                        case 1:
                            let found = code { try stored.write(cell) }
                            #expect(found == nil || found == .noSpace)
                        default:
                            let read = try stored.read(cell.address, leaves: cell.leaves)
                            #expect(read == nil || read == cell)
                        }
                        #expect(store.usage().total <= total / 2)
                    }
                }
            }
            try await group.waitForAll()
        }
        #expect(box.book.all.filter { $0.hasPrefix("warning") } == [])
        for address in blob.addresses { stored.evict(address) }
        #expect(store.usage().total == 0)
        stored.context.ledger.withLock { ledger in
            #expect(ledger.reserved == 0 && ledger.cachedCells == 0)
        }
    }
}
