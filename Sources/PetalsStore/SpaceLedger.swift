package import PetalsCore

/// Who uses how much of the disk, and what goes when there is no more.
///
/// A value: it knows no files and no clock. Whoever writes a cell asks `reserve` first, evicts the
/// cells that it names, and says `commit` or `cancel` after; whoever removes one says `vacate`.
/// A cell counts with its whole length from its first leaf on. The limit is over all classes, but
/// only cached cells are ever evicted, and only cached cells are ever refused.
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
        /// Whether the bytes are reserved now.
        package let isGranted: Bool
        /// Cached cells to evict first.
        ///
        /// Not granted and no victims: refused. Not granted and some victims: evict them and ask
        /// again.
        package let victims: [CellKey]
    }

    private struct Slot: Sendable {
        let key: CellKey
        let length: Int
        /// Read since the hand came by.
        var isReferenced: Bool
        /// Named as a victim and not gone yet.
        var isLeaving: Bool
    }

    /// The most bytes of all classes together; nil for as much as the disk has.
    package let limit: Int?
    /// Bytes of cells about to be written.
    package private(set) var reserved = 0
    private var usedByClass: [ShardClass: Int] = [:]
    /// Cached cells, with gaps where one has gone.
    private var slots: [Slot?] = []
    private var places: [CellKey: Int] = [:]
    private var gaps: [Int] = []
    private var hand = 0

    /// Makes the ledger of an empty store.
    package init(limit: Int?) {
        self.limit = limit
    }

    /// Bytes of the cells of a class.
    package func used(_ shardClass: ShardClass) -> Int { usedByClass[shardClass] ?? 0 }

    /// Bytes of all cells.
    package var used: Int { usedByClass.values.reduce(0, +) }

    /// Cached cells that may be evicted.
    package var cachedCells: Int { places.count }

    /// Asks for room for a cell of `length` bytes.
    package mutating func reserve(_ length: Int, for shardClass: ShardClass) -> Decision {
        defer { checkInvariants() }
        let missing = limit.map { used + reserved + length - $0 } ?? 0
        if shardClass != .cached {
            reserved += length
            return Decision(isGranted: true, victims: takeVictims(missing))
        }
        if missing <= 0 {
            reserved += length
            return Decision(isGranted: true, victims: [])
        }
        // Where all cached cells together are not enough, none has to go for nothing.
        let evictable = used(.cached)
        return Decision(isGranted: false, victims: evictable < missing ? [] : takeVictims(missing))
    }

    /// The cell is written: what was reserved is used.
    package mutating func commit(_ length: Int, _ key: CellKey, as shardClass: ShardClass) {
        reserved -= length
        occupy(length, key, as: shardClass)
    }

    /// The cell was not written.
    package mutating func cancel(_ length: Int) {
        reserved -= length
        checkInvariants()
    }

    /// A cell is on the disk, as found when a shard is opened.
    package mutating func occupy(_ length: Int, _ key: CellKey, as shardClass: ShardClass) {
        usedByClass[shardClass, default: 0] += length
        if shardClass == .cached {
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
        checkInvariants()
    }

    /// A cell has gone from the disk.
    package mutating func vacate(_ length: Int, _ key: CellKey, from shardClass: ShardClass) {
        usedByClass[shardClass, default: 0] -= length
        if shardClass == .cached, let place = places.removeValue(forKey: key) {
            slots[place] = nil
            gaps.append(place)
        }
        checkInvariants()
    }

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

    /// Asserts what must always hold; all of it in debug, where `isThorough`.
    package func checkInvariants(isThorough: Bool = false) {
        assert(reserved >= 0)
        assert(usedByClass.values.allSatisfy { $0 >= 0 })
        assert(places.count + gaps.count == slots.count)
        guard isThorough else { return }
        precondition(slots.compactMap(\.?.length).reduce(0, +) == used(.cached))
        precondition(places.allSatisfy { slots[$0.value]?.key == $0.key })
        precondition(gaps.allSatisfy { slots[$0] == nil })
    }
}
