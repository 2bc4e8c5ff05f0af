package import PetalsCore

/// Who uses how much of the disk, and what goes when there is no more.
///
/// A value: it knows no files and no clock. Whoever writes a cell asks `reserve` first, evicts the
/// cells that it names, and says `commit` or `cancel` after; whoever removes one says `vacate` when
/// the disk has its space back. So what is on the disk is never more than what is counted here.
///
/// Two bounds hold for cached cells, and for no others: what was published, held or pinned is here
/// because somebody asked for it (docs/decisions/9-what-the-cache-counts.md).
///
/// - The limit: cached cells and those about to be cached never have more bytes. A cell counts with
///   its whole length from its first leaf on.
/// - The floor: a cell is not cached where the disk would have less than that free (`FreeSpace`).
///
/// Cells are evicted second chance (a clock): the hand passes over a cell that was read since it
/// came by last, and takes the next one that was not.
package struct SpaceLedger: Sendable {
    /// A cell of some live blob, small enough to keep one for each cached cell.
    package struct CellKey: Hashable, Sendable {
        /// The store's number for the blob while it runs.
        package let blob: Int32
        /// The shard's index in the blob.
        package let shard: Int32
        /// The cell's index in the shard.
        package let cell: Int32

        /// Names a cell of a live blob.
        package init(blob: Int32, address: CellAddress) {
            self.blob = blob
            shard = Int32(clamping: address.shard.rawValue)
            cell = Int32(clamping: address.cell.rawValue)
        }

        /// The cell's address in its blob.
        package var address: CellAddress {
            CellAddress(shard: ShardIndex(Int(shard)), cell: CellIndex(Int(cell)))
        }
    }

    /// The answer to `reserve`.
    package struct Decision: Hashable, Sendable {
        /// What stands in the way of a cell.
        package enum Lack: Hashable, Sendable {
            case limit
            case disk
            /// What is given for others is used.
            case donation
        }

        /// What came of asking.
        package enum Outcome: Hashable, Sendable {
            /// The bytes are reserved.
            case granted
            /// There may be room when the victims, and those of others, have gone: ask again.
            case askAgain
            /// There is no room, and evicting would not make any.
            case refused(Lack)
        }

        /// Whether the bytes are reserved now.
        package let outcome: Outcome
        /// Cached cells to evict, in any case.
        package let victims: [CellKey]
        /// Whether they go for the disk's sake, so that it should be asked again after.
        package let isForDisk: Bool
    }

    private struct Slot: Sendable {
        let key: CellKey
        let length: Int
        /// Read since the hand came by.
        var isReferenced: Bool
        /// Named as a victim and not gone yet.
        var isLeaving: Bool
    }

    /// The most bytes of cached cells; nil for as much as the disk has.
    package let limit: Int?
    /// The most bytes of held cells; nil for as much as the disk has.
    package var heldLimit: Int?
    /// What is known of the disk.
    var free: FreeSpace
    /// Bytes of cells about to be written.
    package private(set) var reserved = 0
    /// Those of them that will be cached.
    private var reservedCached = 0
    /// Those of them that will be held.
    private var reservedHeld = 0
    /// Bytes of cells that were cached, and that the disk did not take back.
    package private(set) var stranded = 0
    /// Bytes still to come of cells of which some leaves are there.
    private var unwritten: [CellKey: Int] = [:]
    private var unwrittenTotal = 0
    private var usedByClass: [ShardClass: Int] = [:]
    /// Cached cells, with gaps where one has gone.
    private var slots: [Slot?] = []
    private var places: [CellKey: Int] = [:]
    private var gaps: [Int] = []
    private var hand = 0

    /// Makes the ledger of an empty store.
    ///
    /// - Parameter floor: bytes of the disk that cached cells leave free; 0 for none.
    package init(limit: Int?, floor: Int = 0) {
        self.limit = limit.map { min(max($0, 0), DiskSpace.bytesMax) }
        free = FreeSpace(floor: min(max(floor, 0), DiskSpace.bytesMax))
    }

    /// Bytes of the cells of a class.
    package func used(_ shardClass: ShardClass) -> Int { usedByClass[shardClass] ?? 0 }

    /// Bytes of all cells.
    package var used: Int { usedByClass.values.reduce(0, +) }

    /// What the limit is compared with: cached cells, those about to be, and what could not be
    /// freed of them.
    package var counted: Int { used(.cached) + reservedCached + stranded }

    /// Bytes that cells were given and have not written: what the disk does not show as used yet.
    package var pending: Int { reserved + unwrittenTotal }

    /// Cached cells that may be evicted.
    package var cachedCells: Int { places.count }

    // MARK: Asking for room

    /// Asks for room for a cell of `length` bytes.
    ///
    /// - Parameter evictsForDisk: false where evicting for the disk was tried for this cell.
    package mutating func reserve(
        _ length: Int, for shardClass: ShardClass, evictsForDisk: Bool = true
    ) -> Decision {
        defer { checkInvariants() }
        let lackingOnDisk = free.missing(for: length)
        let mayEvict = evictsForDisk && !free.isResting
        guard shardClass == .cached else {
            if shardClass == .held, missingHeld(for: length) > 0 {
                return Decision(outcome: .refused(.donation), victims: [], isForDisk: false)
            }
            grant(length, for: shardClass)
            let victims = mayEvict ? takeVictims(forDisk: lackingOnDisk) : []
            return Decision(outcome: .granted, victims: victims, isForDisk: !victims.isEmpty)
        }
        let lacking = missing(for: length)
        if lacking == 0, lackingOnDisk == 0 {
            grant(length, for: shardClass)
            return Decision(outcome: .granted, victims: [], isForDisk: false)
        }
        // Where all cached cells together are not enough, none has to go for nothing.
        if lacking > used(.cached) {
            return Decision(outcome: .refused(.limit), victims: [], isForDisk: false)
        }
        guard lackingOnDisk > 0 else {
            return Decision(outcome: .askAgain, victims: takeVictims(lacking), isForDisk: false)
        }
        // The disk is not ours alone: what is cached goes for others though it may not be enough.
        guard mayEvict, !places.isEmpty else {
            return Decision(outcome: .refused(.disk), victims: [], isForDisk: false)
        }
        let victims = takeVictims(forDisk: max(lacking, lackingOnDisk))
        return Decision(outcome: .askAgain, victims: victims, isForDisk: true)
    }

    /// Bytes over the limit that `length` more cached bytes would be.
    package func missing(for length: Int) -> Int {
        limit.map { max(0, counted + length - $0) } ?? 0
    }

    /// Bytes over the limit of what is held that `length` more held bytes would be.
    private func missingHeld(for length: Int) -> Int {
        heldLimit.map { max(0, used(.held) + reservedHeld + length - $0) } ?? 0
    }

    private mutating func grant(_ length: Int, for shardClass: ShardClass) {
        reserved += length
        if shardClass == .cached { reservedCached += length }
        if shardClass == .held { reservedHeld += length }
        free.promise(length)
    }

    /// The cell's first leaves are written: what was reserved for it is used.
    ///
    /// - Parameter written: the bytes of those leaves.
    package mutating func commit(
        _ length: Int, _ key: CellKey, as shardClass: ShardClass, written: Int
    ) {
        reserved -= length
        if shardClass == .cached { reservedCached -= length }
        if shardClass == .held { reservedHeld -= length }
        if written < length {
            unwritten[key] = length - written
            unwrittenTotal += length - written
        }
        enter(length, key, as: shardClass)
        checkInvariants()
    }

    /// The cell was not written.
    ///
    /// - Parameter isFreed: whether nothing of it stays on the disk.
    package mutating func cancel(
        _ length: Int, for shardClass: ShardClass, isFreed: Bool = true
    ) {
        reserved -= length
        if shardClass == .held { reservedHeld -= length }
        if shardClass == .cached {
            reservedCached -= length
            if !isFreed { stranded += length }
        }
        checkInvariants()
    }

    // MARK: Coming and going

    /// More leaves of a cell are written.
    package mutating func write(_ bytes: Int, of key: CellKey) {
        guard let rest = unwritten[key] else { return }
        unwritten[key] = rest > bytes ? rest - bytes : nil
        unwrittenTotal -= min(rest, bytes)
    }

    /// A cell is on the disk, as found when a shard is opened.
    ///
    /// - Returns: false where the limit has no room for it, so that it has to go.
    package mutating func admit(
        _ length: Int, _ key: CellKey, as shardClass: ShardClass
    ) -> Bool {
        if shardClass == .cached, missing(for: length) > 0 { return false }
        enter(length, key, as: shardClass)
        checkInvariants()
        return true
    }

    /// A cell has gone.
    ///
    /// - Parameter isFreed: whether the disk has its space back.
    package mutating func vacate(
        _ length: Int, _ key: CellKey, from shardClass: ShardClass, isFreed: Bool = true
    ) {
        leave(length, key, from: shardClass)
        if !isFreed, shardClass == .cached { stranded += length }
        if let rest = unwritten.removeValue(forKey: key) { unwrittenTotal -= rest }
        checkInvariants()
    }

    /// Cells are kept for another reason now.
    ///
    /// - Returns: 0, or the bytes that are too much for the limit; then nothing is changed.
    package mutating func move(
        _ cells: [(length: Int, key: CellKey)], from source: ShardClass, to target: ShardClass
    ) -> Int {
        let length = cells.reduce(0) { $0 + $1.length }
        if target == .cached, source != .cached {
            let lacking = missing(for: length)
            if lacking > 0 { return lacking }
        }
        if target == .held, source != .held {
            let lacking = missingHeld(for: length)
            if lacking > 0 { return lacking }
        }
        for cell in cells {
            leave(cell.length, cell.key, from: source)
            enter(cell.length, cell.key, as: target)
        }
        checkInvariants()
        return 0
    }

    private mutating func enter(_ length: Int, _ key: CellKey, as shardClass: ShardClass) {
        usedByClass[shardClass, default: 0] += length
        guard shardClass == .cached else { return }
        precondition(places[key] == nil, "a cell is counted once")
        let slot = Slot(key: key, length: length, isReferenced: true, isLeaving: false)
        if let gap = gaps.popLast() {
            slots[gap] = slot
            places[key] = gap
        } else {
            places[key] = slots.count
            slots.append(slot)
        }
    }

    private mutating func leave(_ length: Int, _ key: CellKey, from shardClass: ShardClass) {
        usedByClass[shardClass, default: 0] -= length
        if shardClass == .cached, let place = places.removeValue(forKey: key) {
            slots[place] = nil
            gaps.append(place)
        }
    }

    // MARK: Choosing what goes

    /// A cached cell was read: it gets a second chance.
    package mutating func touch(_ key: CellKey) {
        if let place = places[key] { slots[place]?.isReferenced = true }
    }

    /// A victim could not be evicted; it may be named again.
    package mutating func spare(_ key: CellKey) {
        if let place = places[key] { slots[place]?.isLeaving = false }
    }

    /// Names cached cells of at least `bytes` bytes, or all there are, to be evicted.
    package mutating func takeVictims(_ bytes: Int) -> [CellKey] {
        var victims: [CellKey] = []
        var freed = 0
        // Twice around: the first time takes the second chances away.
        var steps = 2 * slots.count
        while freed < bytes, steps > 0 {
            steps -= 1
            if hand >= slots.count { hand = 0 }
            let place = hand
            hand += 1
            guard let slot = slots[place], !slot.isLeaving else { continue }
            if slot.isReferenced {
                slots[place]?.isReferenced = false
            } else {
                slots[place]?.isLeaving = true
                victims.append(slot.key)
                freed += slot.length
            }
        }
        return victims
    }

    /// The same for the disk's sake: a little more than is missing, so that the disk does not have
    /// to be asked for each cell from then on.
    private mutating func takeVictims(forDisk bytes: Int) -> [CellKey] {
        guard bytes > 0 else { return [] }
        return takeVictims(bytes + min(FreeSpace.bytesBetweenQuestions, used(.cached) / 16))
    }

    /// Asserts what must always hold; all of it, also in release, where `isThorough`.
    package func checkInvariants(isThorough: Bool = false) {
        assert(reservedCached >= 0 && reserved >= reservedCached)
        assert(stranded >= 0 && unwrittenTotal >= 0)
        assert(usedByClass.values.allSatisfy { $0 >= 0 })
        assert(places.count + gaps.count == slots.count)
        assert(limit.map { counted <= $0 } ?? true, "the limit is never exceeded")
        guard isThorough else { return }
        precondition(limit.map { counted <= $0 } ?? true)
        precondition(slots.compactMap(\.?.length).reduce(0, +) == used(.cached))
        precondition(places.allSatisfy { slots[$0.value]?.key == $0.key })
        precondition(gaps.allSatisfy { slots[$0] == nil })
        precondition(unwritten.values.reduce(0, +) == unwrittenTotal)
    }
}
