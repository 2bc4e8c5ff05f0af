package import PetalsCodec
package import PetalsCore
internal import Synchronization

/// One blob's shards on the disk.
///
/// Thread-safe; there is one live instance for each blob of a store. Three kinds of locks, taken in
/// this order: `opening` (a shard's map is being read or replaced as a whole), a stripe (the disk
/// is being written for some cells), `state` (the maps in memory; never held during disk work).
/// Reading takes only the last, for nanoseconds, and notices by `ShardMap.forgotten` when a cell
/// was evicted under it.
package final class StoredBlob: ShardFolder {
    /// The SHA-256 of `sealedDescriptor`.
    package let id: BlobID
    /// The key that opens the descriptor, and names the blob's topic.
    package let relayKey: SecretKey
    /// Geometry and shard roots.
    package let descriptor: BlobDescriptor
    /// The descriptor as peers ask for it.
    package let sealedDescriptor: [UInt8]

    /// The store's number for the blob while it runs.
    let number: Int32
    let folder: String
    let context: StoreContext
    let onStale: @Sendable (SourceRow, SourceState) -> Void
    let opening = Stripe()
    let state: UnfairLock<State>
    private let stripes = (0..<16).map { _ in Stripe() }
    private let changeCounter = Atomic<Int>(0)

    /// What is known of one shard.
    struct ShardMap: Sendable {
        var layer: CellLayer?
        /// The leaves of each cell that are there.
        var masks: [LeafSet]
        /// The cells of which all leaves are there and fold to the layer's hash.
        var complete: CellBitmap
        /// Grows whenever a cell is forgotten, so that a reader notices.
        var forgotten = 0
        /// The checksums of leaves that this process verified, by their place in the shard, 0 for
        /// those that it did not; empty until there is one.
        ///
        /// What a leaf must be is fixed by the blob's id, so a checksum stays right though its cell
        /// comes and goes. A leaf whose checksum happens to be 0 is hashed each time.
        private var checksums: [UInt32] = []

        init(cellCount: Int) {
            masks = Array(repeating: .none, count: cellCount)
            complete = CellBitmap(cellCount: cellCount)
        }

        /// The checksums of leaves of a cell; nil where one is not known.
        func checksums(_ cell: CellIndex, _ leaves: Range<Int>) -> [LeafChecksum]? {
            guard !checksums.isEmpty else { return nil }
            let first = cell.rawValue * Limits.leavesPerCell
            let known = checksums[first + leaves.lowerBound..<first + leaves.upperBound]
            return known.contains(0) ? nil : known.map { LeafChecksum(rawValue: $0) }
        }

        /// Remembers the checksums of leaves that were verified.
        mutating func keep(_ sums: [LeafChecksum], of cell: CellIndex, from leaf: Int) {
            if checksums.isEmpty {
                checksums = Array(repeating: 0, count: masks.count * Limits.leavesPerCell)
            }
            let first = cell.rawValue * Limits.leavesPerCell + leaf
            for (place, sum) in sums.enumerated() {
                checksums[first + place] = sum.rawValue
            }
        }
    }

    struct State: Sendable {
        /// The shards that were opened.
        var maps: [ShardIndex: ShardMap] = [:]
        /// The shards with a tree file when the blob was opened, and those opened since.
        var known: Set<ShardIndex> = []
        var classes: [ShardIndex: ShardClass] = [:]
        /// Where the data shards come from, if they are not stored.
        var source: InPlaceSource?
        var isRemoved = false
    }

    /// Opens a blob's folder, which exists.
    ///
    /// `onStale` is called, once, when the published file of the blob is found changed.
    init(
        row: BlobRow, sealedDescriptor: [UInt8], number: Int32, context: StoreContext,
        classes: [ShardIndex: ShardClass],
        onStale: @escaping @Sendable (SourceRow, SourceState) -> Void
    ) throws(PetalsError) {
        id = row.blobID
        relayKey = row.relayKey
        self.sealedDescriptor = sealedDescriptor
        descriptor = try SealedDescriptor.open(
            sealedDescriptor, relayKey: row.relayKey, expecting: row.blobID)
        self.number = number
        self.context = context
        self.onStale = onStale
        folder = context.folder.blobsFolder + "/" + row.blobID.hex
        var state = State()
        state.classes = classes
        for name in try Disk.names(in: folder) where name.hasSuffix(".tree") {
            if let shard = Int(name.dropLast(5)) { state.known.insert(ShardIndex(shard)) }
        }
        state.known.formIntersection(descriptor.geometry.shards)
        self.state = UnfairLock(state)
    }

    /// How the blob is cut.
    package var geometry: BlobGeometry { descriptor.geometry }

    /// Grows whenever a cell becomes complete or is forgotten.
    package var changes: Int { changeCounter.load(ordering: .acquiring) }

    /// The proved cell hashes of a shard; nil where they were not kept.
    package func layer(of shard: ShardIndex) -> CellLayer? {
        withMap(shard) { $0.layer }
    }

    /// The leaves of a cell that are there.
    package func present(_ address: CellAddress) -> LeafSet {
        guard geometry.contains(address) else { return .none }
        return withMap(address.shard) { $0.masks[address.cell.rawValue] } ?? .none
    }

    /// The complete cells of a shard of the blob, which are those that can be served.
    package func holdings(of shard: ShardIndex) -> CellBitmap {
        let none = CellBitmap(
            cellCount: geometry.contains(shard) ? geometry.cellCount(of: shard) : 0)
        return withMap(shard) { $0.complete } ?? none
    }

    /// The shards with at least one complete cell, in order.
    package func heldShards() -> [ShardIndex] {
        let known = state.withLock { $0.known }
        return known.sorted().filter { shard in
            withMap(shard) { !$0.complete.isEmpty } ?? false
        }
    }

    /// Why a shard is kept.
    package func shardClass(of shard: ShardIndex) -> ShardClass {
        state.withLock { shardClass(of: shard, $0) }
    }

    // MARK: Helpers

    /// Looks at a shard's map, which is read from the disk first where that was not done yet.
    ///
    /// - Returns: nil where the blob has no such shard.
    func withMap<Result: Sendable>(
        _ shard: ShardIndex, _ body: (ShardMap) -> Result?
    ) -> Result? {
        guard geometry.contains(shard) else { return nil }
        open(shard)
        return state.withLock { state in state.maps[shard].flatMap(body) }
    }

    /// The class of a shard.
    ///
    /// Shards that are made from the published file are seeded, whatever the registry says of them.
    func shardClass(of shard: ShardIndex, _ state: borrowing State) -> ShardClass {
        isInPlace(shard, state) ? .seeded : state.classes[shard] ?? .cached
    }

    /// Whether a shard's bytes come from the published file.
    func isInPlace(_ shard: ShardIndex, _ state: borrowing State) -> Bool {
        state.source != nil && geometry.isData(shard)
    }

    /// Bytes of the disk that a cell with leaves takes.
    func spaceTaken(_ address: CellAddress, _ state: borrowing State) -> Int {
        isInPlace(address.shard, state) ? 0 : geometry.cellLength(address)
    }

    func key(_ address: CellAddress) -> SpaceLedger.CellKey {
        SpaceLedger.CellKey(blob: number, address: address)
    }

    func stripe(of address: CellAddress) -> Stripe {
        stripes[(address.cell.rawValue &+ 5 &* address.shard.rawValue) & 15]
    }

    /// Runs `body` while nobody writes any cell of the blob.
    func holdingAllStripes<Result: Sendable>(
        from first: Int = 0, _ body: () throws(PetalsError) -> Result
    ) throws(PetalsError) -> Result {
        guard first < stripes.count else { return try body() }
        return try stripes[first].hold { () throws(PetalsError) in
            try holdingAllStripes(from: first + 1, body)
        }
    }

    func noteChange() {
        changeCounter.wrappingAdd(1, ordering: .acquiringAndReleasing)
    }

    /// The sentence for work on a blob that was removed meanwhile.
    var removedError: PetalsError {
        PetalsError(
            .notFound, "the blob \(id.short) was removed; add or publish its model again to use it")
    }
}
