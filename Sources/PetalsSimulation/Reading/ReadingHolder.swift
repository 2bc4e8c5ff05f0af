internal import PetalsCodec
internal import PetalsCore
internal import PetalsTesting
internal import ShardFetch

/// Somebody who is asked for leaves, and how he answers.
struct ReadingHolder {
    /// What a holder does, and does not.
    enum Manner: Hashable, Sendable {
        case honest
        /// Flips a bit in a part of the leaves that it sends, and of the trees.
        case flips(part: Double)
        /// Claims all shards and has none; says so when it is asked, or says nothing.
        case claims(answers: Bool)
        /// Claims all shards and has some; gives those, and says that it has not the others.
        case boasts
        /// Is a hundred times slower from a moment on.
        case slow(from: Instant)
        /// Has nothing, and knows who has: a peer that only tells of others.
        case knowsOthers

        /// Whether its answers cost whoever believes it.
        var isHostile: Bool {
            switch self {
            case .honest, .knowsOthers: false
            case .flips, .claims, .boasts, .slow: true
            }
        }
    }

    /// How much slower a slow holder is.
    static let slowness: Double = 100

    let number: Int
    let manner: Manner
    let peer: PeerID
    let host: String
    /// Shards of which it has all.
    let shards: Set<ShardIndex>
    /// When a slow holder has sent what it was asked for.
    var busyUntil: Instant = 0

    /// - Parameter dealt: shards of which it has all, if its manner has any.
    init(_ number: Int, _ manner: Manner, dealt: Set<ShardIndex>) {
        self.number = number
        self.manner = manner
        switch manner {
        case .claims, .knowsOthers: shards = []
        case .honest, .flips, .boasts, .slow: shards = dealt
        }
        peer = AddressBook.peerID(number)
        host = AddressBook.packed(number).socketEndpoint.host
    }

    /// Whether it says that it has a shard that it has not.
    func isLying(about shard: ShardIndex) -> Bool {
        switch manner {
        case .claims, .boasts: !shards.contains(shard)
        case .honest, .flips, .slow, .knowsOthers: false
        }
    }

    /// What it says that it has.
    func claimed(of geometry: BlobGeometry) -> [ShardIndex] {
        switch manner {
        case .claims, .boasts: geometry.shards
        case .knowsOthers: []
        case .honest, .flips, .slow: shards.sorted()
        }
    }
}

/// Somebody who reads a file: the machines that a running petalsfs has for it, and the bytes.
final class ReadingNode {
    /// A read that waits.
    struct Read {
        let range: Range<Int>
        let piece: CellPiece
        let since: Instant
        /// Whether a hostile holder was asked for what it waits for.
        var askedInVain = false
    }

    /// Bytes of a read, of which all lie in one cell.
    static let readBytes = 8 * Limits.leafBytes
    /// The memory that one reader's read-ahead may have.
    static let windowBytes = 8 << 20

    let number: Int
    /// Where its line is.
    let line: Int
    var scheduler = FetchScheduler()
    var book = PeerBook()
    var readAhead: ReadAhead
    var generator: SeededGenerator
    /// Connections, each with the holder at its other end, and the other way round.
    var peers: [PeerConnection.ID: Int] = [:]
    var connections: [Int: PeerConnection.ID] = [:]
    var openedAt: [PeerConnection.ID: Instant] = [:]
    var layers: [ShardIndex: CellLayer] = [:]
    var present: [CellAddress: [VerifiedLeaves]] = [:]
    var read: Read?
    var offset = 0
    var isReading = false
    var isActing = false
    var isTicking = false
    /// Answers of each holder that were wrong.
    var wrongAnswers: [Int: Int] = [:]
    var readsAnswered = 0
    var firstAnswerAt: Instant?

    /// What finds peers, where peers are to be found.
    var plan = DialPlan()
    var lookups = LookupSchedule()
    var exchange = ExchangeBook()
    var dht = DHTSchedule(now: 0)

    static let blob = FetchScheduler.BlobHandle(1)

    init(_ number: Int, line: Int, size: Int, geometry: BlobGeometry, seed: UInt64) {
        self.number = number
        self.line = line
        readAhead = ReadAhead(size: size)
        generator = SeededGenerator(seed: seed &+ UInt64(number) &* 0x9e37_79b9)
        scheduler.add(Self.blob, geometry: geometry)
    }

    static func key(_ address: CellAddress) -> FetchScheduler.CellKey {
        FetchScheduler.CellKey(blob: blob, address: address)
    }

    /// Leaves of a cell that are here.
    func leaves(of address: CellAddress) -> LeafSet {
        (present[address] ?? []).reduce(.none) { $0.union(LeafSet($1.leaves)) }
    }

    /// The bytes of neighbouring leaves that are here; nil where one is missing.
    func bytes(of address: CellAddress, _ leaves: Range<Int>) -> [UInt8]? {
        var bytes: [UInt8] = []
        var leaf = leaves.lowerBound
        while leaf < leaves.upperBound {
            guard let part = present[address]?.first(where: { $0.leaves.contains(leaf) }) else {
                return nil
            }
            let end = min(part.leaves.upperBound, leaves.upperBound)
            bytes += part.part(leaf..<end).bytes
            leaf = end
        }
        return bytes
    }
}
