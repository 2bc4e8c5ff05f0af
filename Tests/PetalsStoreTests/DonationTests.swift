import PetalsCore
import PetalsTesting
import Testing

@testable import PetalsStore

/// What is held for others: its bound, and which of it was chosen.
@Suite struct DonationTests {
    private let blob = Digest(words: (1, 2, 3, 4))

    private func key(_ cell: Int) -> SpaceLedger.CellKey {
        SpaceLedger.CellKey(
            blob: 1, address: CellAddress(shard: ShardIndex(0), cell: CellIndex(cell)))
    }

    /// Every limit around the sum of three cells: what is held or reserved is never a byte more,
    /// whether it is written, given up, or was cached before.
    @Test func heldCellsKeepToTheirLimit() {
        for limit in 0...31 {
            var ledger = SpaceLedger(limit: nil)
            ledger.heldLimit = limit
            var granted = 0
            for cell in 0..<3 {
                let decision = ledger.reserve(10, for: .held)
                let fits = granted + 10 <= limit
                #expect(decision.outcome == (fits ? .granted : .refused(.donation)))
                guard fits else { continue }
                granted += 10
                if cell == 1 {
                    ledger.cancel(10, for: .held)
                    granted -= 10
                } else {
                    ledger.commit(10, key(cell), as: .held, written: 10)
                }
                #expect(ledger.used(.held) == granted)
            }
            #expect(ledger.reserve(10, for: .cached).outcome == .granted)
            ledger.commit(10, key(7), as: .cached, written: 10)
            let lacking = ledger.move([(10, key(7))], from: .cached, to: .held)
            #expect(lacking == max(0, granted + 10 - limit), "limit \(limit)")
            #expect(ledger.used(.held) <= limit)
            ledger.checkInvariants(isThorough: true)
        }
    }

    @Test func chosenShardsAreKnownAfterARestart() throws {
        let sample = try SampleBlob(seed: 5, size: 600_000, dataShards: 2, groupShards: 3)
        let folder = try TemporaryFolder()
        func open() throws -> (StateFolder, Store) {
            let state = try StateFolder(opening: folder.path + "/state")
            return (state, try Store(folder: state, logger: LogBook().logger, limit: nil))
        }
        let shards = sample.shards
        do {
            let (state, store) = try open()
            let stored = try store.blob(
                id: sample.id, relayKey: sample.relayKey, descriptor: sample.sealedDescriptor)
            for layer in sample.layers { try stored.keep(layer) }
            try store.donate(shards[0], blob: sample.id)
            try store.donate(shards[1], blob: sample.id)
            try store.setClass(.held, of: [shards[2]], blob: sample.id)
            for (address, cell) in sample.cells where address.shard != shards[1] {
                try stored.write(cell)
            }
            #expect(stored.keptShards() == Set(shards))
            state.release()
        }
        let (state, store) = try open()
        defer { state.release() }
        try store.collectGarbage()
        let stored = try #require(store.blob(sample.id))
        #expect(try store.registry.donations() == [sample.id: [shards[0], shards[1]]])
        #expect(shards.map { stored.isWhole($0) } == [true, false, true])
        // What a person wants is no donation any more, and what goes gives its space back.
        try store.keepByHand([shards[0]], blob: sample.id)
        try store.withdraw(shards[1], blob: sample.id)
        #expect(try store.registry.donations().isEmpty)
        try store.donate(shards[2], blob: sample.id)
        let before = store.usage().bytes[.held] ?? 0
        let changes = stored.changes
        try store.withdraw(shards[2], blob: sample.id)
        let length = sample.geometry.shardLength(shards[2])
        #expect(store.usage().bytes[.held] == before - length)
        #expect(stored.changes > changes, "peers are told")
        #expect(stored.keptShards() == [shards[0]] && stored.heldShards() == [shards[0]])
        #expect(stored.layer(of: shards[2]) != nil, "it vouches for its group still")
        #expect(throws: PetalsError.self) { try store.donate(ShardIndex(3), blob: sample.id) }
        #expect(throws: PetalsError.self) { try store.withdraw(shards[0], blob: blob) }
    }

    /// A held shard is written up to the limit and refused beyond it, in one sentence.
    @Test func theStoreRefusesWhatIsTooMuch() throws {
        let sample = try SampleBlob(seed: 6, size: 600_000, dataShards: 1, groupShards: 2)
        let folder = try TemporaryFolder()
        let state = try StateFolder(opening: folder.path + "/state")
        defer { state.release() }
        let store = try Store(folder: state, logger: LogBook().logger, limit: nil)
        store.setHeldLimit(Limits.cellBytes)
        let stored = try store.blob(
            id: sample.id, relayKey: sample.relayKey, descriptor: sample.sealedDescriptor)
        for layer in sample.layers { try stored.keep(layer) }
        try store.donate(ShardIndex(0), blob: sample.id)
        let cells = sample.cells.filter { $0.key.shard == ShardIndex(0) }.sorted { $0.key < $1.key }
        try stored.write(cells[0].value)
        #expect {
            try stored.write(cells[1].value)
        } throws: { error in
            (error as? PetalsError)?.code == .noSpace
                && (error as? PetalsError)?.message.contains("--donate") == true
        }
        #expect(store.usage().bytes[.held] == Limits.cellBytes)
        store.setHeldLimit(nil)
        try stored.write(cells[1].value)
    }
}
