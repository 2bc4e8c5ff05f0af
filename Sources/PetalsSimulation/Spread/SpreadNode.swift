internal import PetalsCore
internal import PetalsTesting
internal import ShardFetch

/// Cells and leaves that a node has.
///
/// A class of its own, since the scheduler asks for it in the middle of deciding.
final class Shelf {
    let geometry: BlobGeometry
    private(set) var cells: [CellBitmap]
    private var parts: [CellAddress: LeafSet] = [:]
    /// Shards whose cells have changed since peers were last told.
    var changed: Set<Int> = []

    init(_ geometry: BlobGeometry, complete: Bool) {
        self.geometry = geometry
        cells = geometry.shards.map {
            CellBitmap(cellCount: geometry.cellCount(of: $0), complete: complete)
        }
    }

    func has(_ address: CellAddress) -> Bool {
        cells[address.shard.rawValue].contains(address.cell)
    }

    func leaves(of address: CellAddress) -> LeafSet {
        if has(address) { return LeafSet(first: geometry.leafCount(address)) }
        return parts[address] ?? .none
    }

    /// Keeps leaves; true when that completes their cell.
    func keep(_ leaves: LeafSet, of address: CellAddress) -> Bool {
        guard !has(address) else { return false }
        let all = (parts[address] ?? .none).union(leaves)
        guard all.isSuperset(of: LeafSet(first: geometry.leafCount(address))) else {
            parts[address] = all
            return false
        }
        parts[address] = nil
        cells[address.shard.rawValue].insert(address.cell)
        changed.insert(address.shard.rawValue)
        return true
    }
}

/// One node: the machines that a running petalsfs has, and what of the shell around them matters.
final class SpreadNode {
    /// Cells wanted at a time, as `Node.fetchWhole` has it.
    static let window = 256

    let number: Int
    let shelf: Shelf
    /// Shards that the node wants all of.
    let wants: [ShardIndex]
    let arrivesAt: Instant
    var isHere = false

    var scheduler = FetchScheduler()
    var plan = DialPlan()
    var lookups = LookupSchedule()
    var exchange = ExchangeBook()
    var dht: DHTSchedule
    var fresh: FreshRows
    var generator: SeededGenerator

    var order: WholeOrder
    /// For the order from the first byte to the last: what is left.
    var inOrder: ArraySlice<CellAddress>
    /// Cells that were handed out and have not come.
    var missing: Set<CellAddress> = []
    var wantedCount: Int

    /// Connections, each with the node at its other end.
    var peers: [PeerConnection.ID: Int] = [:]
    /// The same the other way round.
    var connections: [Int: PeerConnection.ID] = [:]
    /// Peers that hold anything.
    var holders: Set<PeerConnection.ID> = []
    var isTicking = false
    var isActing = false

    var controlSent = 0
    var requestsSent = 0
    var dials: [Instant] = []

    init(
        _ number: Int, _ scenario: SpreadScenario, wants: [ShardIndex], arrivesAt: Instant,
        isPublisher: Bool
    ) {
        self.number = number
        self.wants = wants
        self.arrivesAt = arrivesAt
        let geometry = scenario.geometry
        shelf = Shelf(geometry, complete: isPublisher)
        generator = SeededGenerator(seed: scenario.seed &+ UInt64(number) &* 0x9e37_79b9)
        dht = DHTSchedule(now: arrivesAt)
        fresh = FreshRows(holdSeconds: scenario.holdSeconds)
        let columns = wants.map { shard in
            (0..<geometry.cellCount(of: shard)).map {
                CellAddress(shard: shard, cell: CellIndex($0))
            }
        }
        let cells = columns.flatMap { $0 }
        order = WholeOrder(
            scenario.order == .rarestFirst ? cells : [], using: &generator)
        // A reader of the file meets the cells of a row one after the other.
        inOrder =
            scenario.order == .inOrder
            ? cells.sorted {
                (geometry.row(of: $0), $0.shard) < (geometry.row(of: $1), $1.shard)
            }[...] : []
        wantedCount = cells.count
        scheduler.add(Self.blob, geometry: geometry)
    }

    static let blob = FetchScheduler.BlobHandle(1)

    static func key(_ address: CellAddress) -> FetchScheduler.CellKey {
        FetchScheduler.CellKey(blob: blob, address: address)
    }

    /// Whether the node has all of the model's data.
    var isSeeder: Bool {
        shelf.geometry.streamShards.allSatisfy { shelf.cells[$0.rawValue].isComplete }
    }

    var isFinished: Bool { wantedCount == 0 }

    /// Hands out more cells when half of the window has come.
    func refill() {
        guard missing.count <= Self.window / 2 else { return }
        let room = Self.window - missing.count
        let next: [CellAddress]
        if order.count > 0 {
            next = order.next(room) { scheduler.holderCount(Self.key($0)) }
        } else {
            next = Array(inOrder.prefix(room))
            inOrder = inOrder.dropFirst(room)
        }
        for address in next where !shelf.has(address) {
            missing.insert(address)
            let all = LeafSet(first: shelf.geometry.leafCount(address))
            scheduler.want(
                Self.key(address), leaves: all.subtracting(shelf.leaves(of: address)),
                urgency: .bulk)
        }
    }
}
