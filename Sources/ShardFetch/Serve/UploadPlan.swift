package import PetalsCore

/// Decides what is sent next, and when, where uploads are limited or yield to this node's own
/// reads.
///
/// A value machine: the shell (`ShardServer`) says who waits, is told whose request to answer or
/// how long to rest, and says what that took. The rules, in this order:
///
/// 1. No more than the limit leaves: bytes of whole frames, of all peers together. Documents and
///    cell layers are charged too; they are small, so they do not wait, and shards wait for them.
/// 2. While a read of this node waits for bytes of its own, bulk has a quarter of what the line
///    carried lately. Not nothing: a swarm of readers in which each serves nobody while it reads
///    would have its publisher send everything. And not all: on a line that is slower upwards than
///    downwards, what is sent stands in front of the requests and acknowledgements of the read.
/// 3. Peers with funds have all but 5 % of what leaves while they want it, newcomers have that, and
///    who owes too much has what neither wants (`UploadTurns`).
/// 4. Within a tier demand goes before bulk, but of every eight bytes one is bulk's while it waits:
///    everybody may call his requests demand.
/// 5. Within a class it is `UploadTurns`.
package struct UploadPlan: Sendable {
    /// A connection with requests: those that may be answered now, as far as it is concerned.
    ///
    /// One whose peer has to sign first, or has enough on its way, has neither class, and is kept
    /// from what others get all the same.
    package struct Waiting: Sendable {
        package let connection: PeerConnection.ID
        package let peer: PeerID
        package let hasDemand: Bool
        package let hasBulk: Bool
        package let standing: CreditStanding

        package init(
            connection: PeerConnection.ID, peer: PeerID, hasDemand: Bool, hasBulk: Bool,
            standing: CreditStanding = .stranger(group: "")
        ) {
            self.connection = connection
            self.peer = peer
            self.hasDemand = hasDemand
            self.hasBulk = hasBulk
            self.standing = standing
        }
    }

    /// What to do now.
    package enum Decision: Hashable, Sendable {
        /// Answer the first request of a class, with at most so many leaves of it.
        case serve(PeerConnection.ID, bulk: Bool, leavesMax: Int)
        /// Nothing, for so many seconds.
        case wait(Instant)
        /// Nothing, until somebody waits.
        case rest
    }

    /// Seconds of sending that a turn is worth: short, so that turns change often and a read that
    /// comes now waits for little, and long enough that frames are not all proof.
    static let turnSeconds: Instant = 0.1
    /// Seconds of sending that an idle line saves up; what a late timer may cost.
    static let burstSeconds: Instant = 0.25
    /// The share of the line that bulk keeps while a read of this node waits.
    static let yieldShare = 0.25
    /// And the least, in bytes a second: a bulk frame of 64 KiB every quarter of a second.
    static let yieldRateMin = 262_144.0
    /// What a line is taken to carry before it was measured: 32 Mbit/s.
    static let lineRateStart = 4e6
    /// What the measured rate of the line loses in a second in which less was sent.
    static let lineRateDecay = 0.98
    /// Bytes of demand for one of bulk, while both wait.
    static let demandPerBulk = 7
    /// Seconds for which a line that had to let somebody wait counts as contended.
    static let contendedSeconds: Instant = 1

    /// Bytes a second; nil for no limit, 0 for nothing at all.
    package private(set) var limit: Int?
    private var all: TokenBucket?
    private var background: TokenBucket
    private var lineRate = lineRateStart
    private var turns = UploadTurns()
    /// Whether the turn that was given last was one beside a read of this node.
    private var isYielding = false
    /// Bytes of demand that each tier was sent while bulk of it waited, since bulk's last turn.
    private var demandBytes: [CreditStanding.Tier: Int] = [:]
    /// Until when the limit is taken to keep peers from what others get.
    private var contendedUntil = -Instant.infinity

    /// Makes the plan of a node that has sent nothing yet.
    package init(limit: Int?, now: Instant) {
        background = TokenBucket(
            rate: Self.yieldRateMin, burst: Double(Limits.cellBytes), now: now)
        setLimit(limit, now: now)
    }

    /// Changes the limit.
    package mutating func setLimit(_ limit: Int?, now: Instant) {
        self.limit = limit
        if let limit, limit > 0 {
            let rate = Double(limit)
            // Who had no limit has saved nothing up.
            if all == nil { all = TokenBucket(rate: rate, burst: 0, now: now) }
            all?.setRate(rate, burst: Self.burst(rate), now: now)
        } else {
            all = nil
        }
        setBackgroundRate(now: now)
    }

    /// What was sent in the last seconds, from which the line's rate is learnt.
    package mutating func measured(_ bytes: Int, in seconds: Instant, now: Instant) {
        guard seconds > 0 else { return }
        lineRate = max(Double(bytes) / seconds, lineRate * Self.lineRateDecay)
        setBackgroundRate(now: now)
    }

    /// Bytes a second that bulk keeps while a read of this node waits.
    package var yieldRate: Double { background.rate }

    /// Whether more waits than the limit lets through, of more than one peer: only then does it
    /// matter to one what another gets.
    package func isContended(now: Instant) -> Bool { now < contendedUntil }

    /// Says what to do.
    ///
    /// - Parameter yields: whether a read of this node waits for bytes.
    package mutating func next(
        of waiting: [Waiting], yields: Bool, now: Instant
    ) -> Decision {
        guard limit != 0 else { return .rest }
        isYielding = yields
        let wanting = waiting.filter { $0.hasDemand || $0.hasBulk }
        guard let first = wanting.first else { return .rest }
        turns.look(at: wanting)
        let demandLeaves = Self.leaves(all?.rate)
        let bulkLeaves = yields ? min(Self.leaves(background.rate), demandLeaves) : demandLeaves
        let demandSeconds = Self.seconds(all, demandLeaves, now)
        let bulkSeconds = max(
            Self.seconds(all, bulkLeaves, now),
            yields ? Self.seconds(background, bulkLeaves, now) : 0)
        let ready = wanting.filter {
            $0.hasDemand && demandSeconds == 0 || $0.hasBulk && bulkSeconds == 0
        }
        guard let tier = turns.tier(of: ready) else {
            if waiting.contains(where: { $0.peer != first.peer }) {
                contendedUntil = now + Self.contendedSeconds
            }
            return .wait(
                min(
                    wanting.contains(where: \.hasDemand) ? demandSeconds : .infinity,
                    wanting.contains(where: \.hasBulk) ? bulkSeconds : .infinity))
        }
        let members = ready.filter { $0.standing.tier == tier }
        let bulk = bulkSeconds == 0 ? members.filter(\.hasBulk) : []
        let demand = demandSeconds == 0 ? members.filter(\.hasDemand) : []
        if !wanting.contains(where: { $0.standing.tier == tier && $0.hasBulk }) {
            demandBytes[tier] = nil
        }
        let isBulksTurn =
            demandBytes[tier, default: 0] >= Self.demandPerBulk * bulkLeaves * Limits.leafBytes
        if !(isBulksTurn && !bulk.isEmpty), let next = turns.next(of: demand) {
            return .serve(
                next.connection, bulk: false, leavesMax: Self.leaves(next, atMost: demandLeaves))
        }
        guard let next = turns.next(of: bulk) else { return .rest }
        return .serve(
            next.connection, bulk: true, leavesMax: Self.leaves(next, atMost: bulkLeaves))
    }

    /// Leaves of a peer's turn: no more than it has funds for, and one at least.
    private static func leaves(_ waiting: Waiting, atMost most: Int) -> Int {
        guard waiting.standing.tier == .funded else { return most }
        return min(most, max(1, waiting.standing.funds.bytesAtBasePrice / Limits.leafBytes))
    }

    /// A turn was taken: so many bytes are on their way to a peer.
    package mutating func sent(
        _ bytes: Int, to peer: PeerID, as standing: CreditStanding = .stranger(group: ""),
        bulk: Bool, now: Instant
    ) {
        charge(bytes, now: now)
        turns.sent(bytes, to: peer, as: standing)
        if bulk {
            // What is sent while nobody has to be yielded to is not owed when somebody has.
            if isYielding { background.charge(Double(bytes), now: now) }
            demandBytes[standing.tier] = nil
        } else {
            demandBytes[standing.tier, default: 0] += bytes
        }
    }

    /// Something was sent that waited for no turn.
    package mutating func charge(_ bytes: Int, now: Instant) {
        all?.charge(Double(bytes), now: now)
    }

    // MARK: Helpers

    private mutating func setBackgroundRate(now: Instant) {
        var rate = max(Self.yieldRateMin, lineRate * Self.yieldShare)
        if let all { rate = min(rate, all.rate * Self.yieldShare) }
        background.setRate(rate, burst: Self.burst(rate), now: now)
    }

    private static func burst(_ rate: Double) -> Double {
        max(rate * burstSeconds, Double(leaves(rate) * Limits.leafBytes))
    }

    /// Leaves of a turn at a rate; nil: there is none.
    private static func leaves(_ rate: Double?) -> Int {
        guard let rate else { return Limits.leavesPerCell }
        let leaves = rate * turnSeconds / Double(Limits.leafBytes)
        return Int(min(max(leaves, 1), Double(Limits.leavesPerCell)))
    }

    private static func seconds(_ bucket: TokenBucket?, _ leaves: Int, _ now: Instant) -> Instant {
        bucket?.seconds(until: Double(leaves * Limits.leafBytes), now: now) ?? 0
    }
}
