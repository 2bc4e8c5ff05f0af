internal import NIOCore
internal import PetalsCodec
internal import PetalsCore
internal import PetalsStore
internal import PetalsTesting
internal import ShardFetch

extension Stage {
    /// The disk, as far as it is in memory.
    static let store = [
        Stage(
            "write-cell", "store a verified cell with its hashes", .bytes(Limits.cellBytes),
            counted: 8, run: writeCell),
        Stage(
            "read-cell", "read a cell that was verified before", .bytes(Limits.cellBytes),
            counted: 100, run: readCell),
        Stage(
            "serve-cell", "read a cell for a peer, into its frame", .bytes(Limits.cellBytes),
            counted: 100, run: serveCell),
    ]

    private static func writeCell(_ meter: Meter) throws {
        let stored = try StoredSample(rows: 2)
        var next = 0
        func empty() {
            _ = stored.store.evictCached(of: [stored.blob.id])
            next = 0
        }
        try meter.measure(atMost: stored.cells.count, before: empty) {
            try stored.blob.write(stored.cells[next])
            next += 1
        }
        try require(
            stored.blob.holdings(of: stored.cells[0].address.shard).contains(CellIndex(0)),
            "a cell was not stored")
    }

    private static func readCell(_ meter: Meter) throws {
        let stored = try StoredSample(rows: 2)
        try stored.fill()
        var next = 0
        try meter.measure {
            let cell = stored.cells[next]
            let read = try stored.blob.read(cell.address, leaves: cell.leaves)
            try require(read, "a cell is not there any more")
            next = (next + 1) % stored.cells.count
        }
    }

    private static func serveCell(_ meter: Meter) throws {
        let stored = try StoredSample(rows: 2)
        try stored.fill()
        var next = 0
        try meter.measure {
            let cell = stored.cells[next]
            let frame = try FrameEncoder.data(
                answering: 7, cell.address, leaves: cell.leaves, from: stored.blob)
            try require(frame, "a cell is not there any more")
            next = (next + 1) % stored.cells.count
        }
    }
}

/// A store with the trees of a blob, and the cells that may be put into it.
private struct StoredSample {
    let store: Store
    let blob: StoredBlob
    /// Every cell of the blob, in order.
    let cells: [VerifiedLeaves]
    private let state: StateFolder
    private let folder: TemporaryFolder

    /// - Parameter rows: rows of 12 cells; two have more bytes than a core's cache.
    init(rows: Int) throws {
        let sample = try Samples.blob(rows: rows)
        folder = try TemporaryFolder()
        state = try StateFolder(opening: folder.path + "/state")
        store = try Store(folder: state, logger: LogBook(keeping: folder).logger, limit: nil)
        blob = try store.blob(
            id: sample.id, relayKey: sample.relayKey, descriptor: sample.sealedDescriptor)
        for layer in sample.layers { try blob.keep(layer) }
        cells = sample.cells.values.sorted { $0.address < $1.address }
    }

    func fill() throws(PetalsError) {
        for cell in cells { try blob.write(cell) }
    }
}
