import PetalsCore
import PetalsTesting
import Testing

@testable import ShardFetch

/// A swarm in virtual time around one `FetchScheduler`: peers that answer after a while, slowly,
/// never or with a refusal, that come and go, and a disk that keeps what came.
///
/// It plays the part of `FetchEngine` with the engine's races: leaves count as expected when their
/// frame comes and as arrived only when they were verified, a little later. After every event it
/// compares the scheduler with its own account of what is under way.
struct SchedulerSwarm {
    typealias Peer = FetchScheduler.Peer
    typealias CellKey = FetchScheduler.CellKey
    typealias ShardKey = FetchScheduler.ShardKey

    /// How a peer answers.
    enum Manner: Hashable {
        case honest
        /// Takes requests and never answers.
        case silent
        /// Refuses everything.
        case refusing(ControlMessage.Refusal)
    }

    struct PeerState {
        var manner: Manner
        var latency: Double
        var rate: Double
        var holds: [ShardIndex: CellBitmap]
        var busyUntil = 0.0
    }

    enum Event {
        case frame(UInt32, Peer, CellKey, Range<Int>)
        case verified(UInt32, CellKey, LeafSet)
        case layer(UInt32, Peer, ShardKey)
        case refuse(UInt32, Peer, ControlMessage.Refusal)
        case rebuilt(CellKey, LeafSet, [Int])
        case tick
    }

    let geometry: BlobGeometry
    let blob = FetchScheduler.BlobHandle(1)
    var generator: SeededGenerator
    var scheduler = FetchScheduler()
    var now = 0.0
    var peers: [Peer: PeerState] = [:]
    var here: [CellKey: LeafSet] = [:]
    var layers: Set<ShardKey> = []
    /// What the readers still wait for.
    var wanted: [CellKey: LeafSet] = [:]
    /// What was asked and is not over, by request.
    var asked: [UInt32: (peer: Peer, key: CellKey, leaves: LeafSet)] = [:]
    private var events: [(at: Double, number: Int, event: Event)] = []
    private var numbers = 0
    private var nextPeer = 1
    var requestedLeaves = 0
    var rebuilds = 0
    var actionsMost = 0
    private var hedges = 0
    /// Set to make every rebuild fail, as false parity does.
    var parityIsFalse = false
    var verifySeconds = 0.001

    init(seed: UInt64, geometry: BlobGeometry) {
        generator = SeededGenerator(seed: seed)
        self.geometry = geometry
        scheduler.add(blob, geometry: geometry)
        later(0.05, .tick)
    }

    // MARK: What happens

    mutating func join(
        _ manner: Manner, latency: Double, rate: Double, holds: [ShardIndex: CellBitmap]
    ) -> Peer {
        let peer = Peer.peer(nextPeer)
        nextPeer += 1
        peers[peer] = PeerState(manner: manner, latency: latency, rate: rate, holds: holds)
        scheduler.peerOpened(peer)
        for (shard, cells) in holds.sorted(by: { $0.key < $1.key }) {
            scheduler.holdings(peer, ShardKey(blob: blob, shard: shard), cells)
        }
        act()
        return peer
    }

    mutating func join(
        _ manner: Manner = .honest, latency: Double = 0.01, rate: Double = 50e6, shards: [Int]
    ) -> Peer {
        let holds = shards.map { index in
            let shard = ShardIndex(index)
            return (shard, CellBitmap(cellCount: geometry.cellCount(of: shard), complete: true))
        }
        return join(
            manner, latency: latency, rate: rate, holds: Dictionary(uniqueKeysWithValues: holds))
    }

    mutating func leave(_ peer: Peer) {
        peers[peer] = nil
        scheduler.peerClosed(peer)
        for (request, found) in asked where found.peer == peer { asked[request] = nil }
        act()
    }

    mutating func want(_ key: CellKey, _ leaves: LeafSet, _ urgency: FetchScheduler.Urgency) {
        let missing = leaves.subtracting(here[key] ?? .none)
        guard !missing.isEmpty else { return }
        wanted[key] = (wanted[key] ?? .none).union(missing)
        scheduler.want(key, leaves: missing, urgency: urgency)
        act()
    }

    /// Wants whole cells at once, as one large read does.
    mutating func want(_ keys: [CellKey], _ urgency: FetchScheduler.Urgency) {
        for key in keys {
            wanted[key] = all(key)
            scheduler.want(key, leaves: all(key), urgency: urgency)
        }
        act()
    }

    /// A whole cell is here at once, from wherever.
    mutating func keepFromElsewhere(_ key: CellKey) {
        keep(key, all(key))
        scheduler.got(key, all(key))
        act()
    }

    func cell(_ shard: Int, _ cell: Int) -> CellKey {
        CellKey(
            blob: blob, address: CellAddress(shard: ShardIndex(shard), cell: CellIndex(cell)))
    }

    func all(_ key: CellKey) -> LeafSet { LeafSet(first: geometry.leafCount(key.address)) }

    /// Lets virtual time pass.
    mutating func run(until end: Double) {
        while let next = events.indices.min(by: { order(events[$0]) < order(events[$1]) }),
            events[next].at <= end
        {
            let event = events.remove(at: next)
            now = max(now, event.at)
            handle(event.event)
        }
        now = max(now, end)
    }

    private func order(_ event: (at: Double, number: Int, event: Event)) -> (Double, Int) {
        (event.at, event.number)
    }

    private mutating func later(_ seconds: Double, _ event: Event) {
        numbers += 1
        events.append((now + seconds, numbers, event))
    }

    private mutating func handle(_ event: Event) {
        switch event {
        case .frame(let request, let peer, let key, let range):
            guard peers[peer] != nil,
                let expected = scheduler.expectation(request, from: peer),
                expected.leaves.isSuperset(of: LeafSet(range))
            else { return }
            #expect(expected.key == key)
            return later(verifySeconds, .verified(request, key, LeafSet(range)))
        case .verified(let request, let key, let leaves):
            keep(key, leaves)
            if let found = asked[request] {
                let rest = found.leaves.subtracting(leaves)
                asked[request] = rest.isEmpty ? nil : (found.peer, found.key, rest)
            }
            scheduler.arrived(request, leaves: leaves, now: now)
            scheduler.got(key, leaves)
        case .layer(let request, let peer, let key):
            guard peers[peer] != nil,
                let expected = scheduler.layerExpectation(request, from: peer)
            else { return }
            #expect(expected == key)
            layers.insert(key)
            scheduler.layerArrived(key)
        case .refuse(let request, let peer, let reason):
            guard peers[peer] != nil else { return }
            if asked[request]?.peer == peer { asked[request] = nil }
            scheduler.refused(request, by: peer, reason: reason, now: now)
        case .rebuilt(let key, let leaves, let columns):
            finishRebuild(key, leaves, columns)
        case .tick:
            tick()
            return
        }
        act()
    }

    private mutating func keep(_ key: CellKey, _ leaves: LeafSet) {
        here[key] = (here[key] ?? .none).union(leaves)
        guard let rest = wanted[key]?.subtracting(leaves) else { return }
        wanted[key] = rest.isEmpty ? nil : rest
    }

    private mutating func finishRebuild(_ key: CellKey, _ leaves: LeafSet, _ columns: [Int]) {
        rebuilds += 1
        let row = geometry.row(of: key.address)
        for column in columns {
            let source = CellKey(blob: blob, address: geometry.address(row: row, column: column))
            #expect(here[source] ?? .none == all(source), "a rebuild without its columns")
        }
        #expect(columns.count == geometry.dataShards && Set(columns).count == columns.count)
        #expect(layers.contains(ShardKey(blob: blob, shard: key.address.shard)))
        if parityIsFalse {
            scheduler.rebuildFailed(key, leaves, now: now)
        } else {
            keep(key, leaves)
            scheduler.got(key, leaves)
        }
    }

    private mutating func tick() {
        later(0.05, .tick)
        let live = scheduler.requests.filter { !$0.value.late }
        if !scheduler.isIdle { scheduler.tick(now: now) }
        for (request, found) in live where scheduler.requests[request]?.late == true {
            let waited = now - found.sentAt
            if waited < 2 {
                hedges += found.leaves.count * Limits.leafBytes
            }
        }
        let budget =
            Double(FetchScheduler.hedgeBytesStart)
            + FetchScheduler.hedgeShare * Double(scheduler.deliveredBytes)
        #expect(Double(hedges) <= budget, "hedges cost more than their budget")
        act()
    }

    // MARK: What is done about it

    private mutating func act() {
        let snapshot = here
        let actions = scheduler.advance(now: now) { snapshot[$0] ?? .none }
        actionsMost = max(actionsMost, actions.count)
        var asksOfPeer: Set<Peer> = []
        for action in actions {
            switch action {
            case .request(let id, let peer, let key, let leaves, _):
                asksOfPeer.insert(peer)
                request(id, peer, key, leaves)
            case .requestLayer(let id, let peer, let key):
                answerLayer(id, peer, key)
            case .cancel(let id, _):
                asked[id] = nil
            case .rebuild(let key, let leaves, let columns):
                later(0.002, .rebuilt(key, leaves, columns))
            }
        }
        checkWindows(asksOfPeer)
        checkInvariants()
    }

    private mutating func request(_ id: UInt32, _ peer: Peer, _ key: CellKey, _ leaves: Range<Int>)
    {
        #expect(geometry.contains(key.address) && leaves.upperBound <= all(key).count)
        #expect(asked[id] == nil, "a request number was used twice")
        asked[id] = (peer, key, LeafSet(leaves))
        requestedLeaves += leaves.count
        guard var state = peers[peer] else {
            Issue.record("a request to a peer that is gone")
            return
        }
        switch state.manner {
        case .silent: break
        case .refusing(let reason): later(state.latency, .refuse(id, peer, reason))
        case .honest:
            guard state.holds[key.address.shard]?.contains(key.address.cell) == true else {
                later(state.latency, .refuse(id, peer, .notHeld))
                break
            }
            var start = leaves.lowerBound
            while start < leaves.upperBound {
                let part = start..<min(start + 4, leaves.upperBound)
                let seconds = Double(part.count * Limits.leafBytes) / state.rate
                state.busyUntil = max(state.busyUntil, now) + seconds
                later(state.busyUntil - now + state.latency, .frame(id, peer, key, part))
                start = part.upperBound
            }
        }
        peers[peer] = state
    }

    private mutating func answerLayer(_ id: UInt32, _ peer: Peer, _ key: ShardKey) {
        guard let state = peers[peer] else {
            Issue.record("a layer was asked of a peer that is gone")
            return
        }
        switch state.manner {
        case .silent: break
        case .refusing(let reason): later(state.latency, .refuse(id, peer, reason))
        case .honest:
            later(max(state.busyUntil - now, 0) + state.latency, .layer(id, peer, key))
        }
    }
}
