internal import PetalsCodec
internal import PetalsCore
internal import PetalsTesting
internal import ShardFetch

/// Readers of one file among holders of whom some are hostile, in virtual time.
///
/// The bytes are real ones: a sealed blob of random bytes, whose leaves and trees are checked by
/// `CellLayer`, rebuilt by the erasure code, and decrypted by `BlockPipeline`, as in a node. Real
/// are `FetchScheduler` with `PeerModel`, `ReadAhead` and `PeerBook` as well, and where peers are
/// to be found `DialPlan`, `LookupSchedule`, `DHTSchedule`, `AnswerSampler` and `ExchangeBook`. The
/// part of `FetchEngine` and `ConnectionRouter` is played here: what a machine says is carried out.
/// Lines are `Lines`; hashing and disks take no time.
///
/// A reader keeps nothing for longer than it needs it, so that a small file is read for long.
final class ReadingWorld {
    /// What is asked of a world.
    struct Scenario {
        var manners: [ReadingHolder.Manner]
        var readers: Int
        /// Holders that a reader is connected with.
        var connections: Int
        /// Rows of the file, of 1 MiB each.
        var rows = 16
        /// Seconds between two reads, at the mean; nil: one after the other, with read-ahead.
        var thinkSeconds: Instant?
        var population: Population
        /// Whether holders have all shards and not a few.
        var isComplete = false
        /// Whether what machines say about hostile holders is carried out.
        var isDefended = true
        var seed: UInt64
    }

    enum Event {
        case read(Int)
        case act(Int)
        case tick(Int)
        case lineFree(Int, cuts: Int)
        case came(Lines.Parcel)
        case arrived(Frame)
        case refused(Int, UInt32, PeerConnection.ID)
        case layer(Int, UInt32, PeerConnection.ID, ShardIndex, isWrong: Bool)
        case rebuilt(Int, CellAddress, columns: [Int])
        case redial(Int, holder: Int)
        /// What a reader's discovery loop does.
        case look(Int)
        case dialled(Int, SocketEndpoint, PeerOrigin)
        case found(Int, [PeerHint], PeerOrigin, teller: IPAddress?)
    }

    /// What a parcel on a line is part of.
    struct Frame {
        let request: UInt32
        let reader: Int
        let connection: PeerConnection.ID
        let address: CellAddress
        let leaves: Range<Int>
        /// The leaf in which a bit is flipped.
        let wrongLeaf: Int?
    }

    /// What came of it, since counting began.
    struct Figures {
        var seconds: [Double] = []
        /// Reads for which somebody was asked for what he had only claimed.
        var askedInVain = 0
        var answeredBytes = 0
        var cameBytes = 0
        /// Bytes that readers were given and that are not the file's; since the beginning.
        var wrongBytes = 0
    }

    let scenario: Scenario
    let blob: SampleBlob
    /// The SHA-256 of each range of the file that is read.
    let digests: [Digest]
    var queue = EventQueue<Event>()
    var lines = Lines { 2 * spreadLatency($0, $1) }
    var generator: SeededGenerator
    var holders: [ReadingHolder] = []
    var readers: [ReadingNode] = []
    var frames: [Int: Frame] = [:]
    var nextFrame = 0
    var nextConnection = 1
    var addresses = AddressBook()
    var isCounting = false
    var figures = Figures()
    var violations: [String] = []
    /// What is found where peers have to be found.
    var eclipse: Eclipse?

    init(_ scenario: Scenario) throws {
        self.scenario = scenario
        generator = SeededGenerator(seed: scenario.seed)
        blob = try SampleBlob(
            seed: scenario.seed, size: scenario.rows * 4 * Limits.cellBytes, dataShards: 4,
            groupShards: 6)
        let plain = blob.plain
        digests = stride(from: 0, to: plain.count, by: ReadingNode.readBytes).map {
            sha256(Array(plain[$0..<$0 + ReadingNode.readBytes]))
        }
        let kinds = scenario.population.kinds(of: scenario.manners.count, using: &generator)
        let deck = blob.shards.shuffled(using: &generator)
        for (number, manner) in scenario.manners.enumerated() {
            let line = scenario.population.lines[kinds[number]]
            _ = lines.add(upload: line.upload, download: line.download)
            addresses.add(number)
            // Dealt like cards, two to each.
            let dealt = (0..<2).map { deck[(2 * number + $0) % deck.count] }
            let shards = scenario.isComplete ? Set(blob.shards) : Set(dealt)
            holders.append(
                ReadingHolder(number, manner, dealt: shards))
        }
        for number in 0..<scenario.readers {
            let line = lines.add(upload: 125e6, download: 125e6)
            addresses.add(line)
            readers.append(
                ReadingNode(
                    number, line: line, size: blob.plain.count, geometry: blob.geometry,
                    seed: scenario.seed))
        }
        for reader in readers {
            let met = holders.indices.shuffled(using: &generator).prefix(scenario.connections)
            for holder in met { connect(reader, holder) }
        }
        resume()
    }

    // MARK: Running

    /// Lets everything happen until a moment.
    func run(until end: Instant, counting: Bool) {
        isCounting = counting
        while let event = queue.next(until: end) { handle(event) }
    }

    /// Has all readers begin to read.
    func resume() {
        for reader in readers {
            reader.isReading = true
            if reader.read == nil { queue.schedule(.read(reader.number), after: 0) }
        }
    }

    /// Has them stop when they have what they wait for.
    func pause() {
        for reader in readers { reader.isReading = false }
    }

    private func handle(_ event: Event) {
        switch event {
        case .read(let number): begin(readers[number])
        case .act(let number): decide(readers[number])
        case .tick(let number): tick(readers[number])
        case .lineFree(let number, let cuts):
            guard let delivery = lines.freed(number, cuts: cuts, now: queue.now) else { return }
            queue.schedule(.came(delivery.parcel), at: delivery.arrivesAt)
            if let free = delivery.freeAt {
                queue.schedule(.lineFree(number, cuts: cuts), at: free)
            }
        case .came(let parcel):
            if let frame = frames.removeValue(forKey: parcel.id) { came(frame) }
        case .arrived(let frame): came(frame)
        case .refused(let number, let id, let peer):
            let reader = readers[number]
            guard reader.peers[peer] != nil else { return }
            reader.scheduler.refused(id, by: peer, reason: .notHeld, now: queue.now)
            act(reader)
        case .layer(let number, let id, let peer, let shard, let isWrong):
            layerCame(readers[number], id, peer, shard, isWrong: isWrong)
        case .rebuilt(let number, let address, let columns):
            rebuilt(readers[number], address, columns)
        case .redial(let number, let holder): redial(readers[number], holder)
        case .look(let number): look(readers[number])
        case .dialled(let number, let endpoint, let origin):
            dialled(readers[number], endpoint, origin)
        case .found(let number, let hints, let origin, let teller):
            found(readers[number], hints, origin, teller)
        }
    }

    // MARK: Connections

    /// Opens a connection, and tells what the holder says that it has.
    @discardableResult
    func connect(_ reader: ReadingNode, _ number: Int) -> PeerConnection.ID? {
        let holder = holders[number]
        guard reader.connections[number] == nil,
            reader.book.beginHandshake(host: holder.host, now: queue.now)
        else { return nil }
        reader.book.endHandshake(host: holder.host)
        let id = PeerConnection.ID(virtual: nextConnection)
        nextConnection += 1
        // Each is of a network of its own: what one network may have is not asked here.
        let refusal = reader.book.open(
            id, peer: holder.peer, network: holder.host, now: queue.now)
        guard refusal == nil else { return nil }
        reader.peers[id] = number
        reader.connections[number] = id
        reader.openedAt[id] = queue.now
        reader.scheduler.peerOpened(id)
        for shard in holder.claimed(of: blob.geometry) {
            let cells = CellBitmap(
                cellCount: blob.geometry.cellCount(of: shard), complete: true)
            reader.scheduler.holdings(
                id, FetchScheduler.ShardKey(ReadingNode.blob, shard), cells)
        }
        act(reader)
        return id
    }

    /// Ends a connection.
    func close(_ reader: ReadingNode, _ number: Int) {
        guard let id = reader.connections.removeValue(forKey: number) else { return }
        reader.peers[id] = nil
        reader.book.close(id)
        reader.scheduler.peerClosed(id)
        lines.cancel(from: number, to: reader.line) { parcel in
            frames[parcel.id] = nil
            return true
        }
        let lasted = queue.now - (reader.openedAt.removeValue(forKey: id) ?? 0)
        if eclipse != nil {
            reader.plan.closed(id)
            reader.plan.ended(
                addresses.endpoint(of: number), .ended(after: lasted), now: queue.now,
                using: &reader.generator)
        }
        act(reader)
    }

    /// What `ConnectionRouter.blame` does about a wrong answer.
    func blame(_ reader: ReadingNode, _ number: Int) {
        reader.wrongAnswers[number, default: 0] += 1
        let holder = holders[number]
        if scenario.isDefended, !reader.book.isBanned(holder.peer, now: queue.now) {
            _ = reader.book.blame(holder.peer, host: holder.host, now: queue.now)
        }
        close(reader, number)
        // It comes back as soon as it may.
        if eclipse == nil {
            queue.schedule(.redial(reader.number, holder: number), after: 5)
        }
    }

    private func redial(_ reader: ReadingNode, _ number: Int) {
        guard connect(reader, number) == nil else { return }
        queue.schedule(.redial(reader.number, holder: number), after: 30)
    }
}
