internal import PetalsCore

/// Decides what to say in the local network, and when.
///
/// A value machine: time and randomness are arguments, the shell around it (`LocalNetwork`) has the
/// sockets.
///
/// * What this node has is announced at once, and then in turn, a datagram every five seconds.
/// * What it looks for is said at once. Whoever hears that, and has it, announces it again within a
///   fifth of a second, at a random moment so that many do not speak at once.
/// * Both together take no more than two datagrams a second, after a burst of eight.
/// * What is heard is counted against a rate for each sender and for all together before anything
///   is computed of it.
struct LocalSchedule: Sendable {
    /// Seconds between two announcements of a node of which nobody wants anything.
    static let periodSeconds: Instant = 5
    /// The longest pause before an announcement that somebody waits for.
    static let answerSecondsMax: Instant = 0.2
    static let sentPerSecond = 2.0
    static let sentBurst = 8.0
    /// Datagrams heard, of one address and in all.
    static let heardPerSecondOfOne = 5.0
    static let heardPerSecond = 50.0
    /// Addresses of which the rate is counted at a time.
    static let sendersMax = 256
    /// How long a topic that was looked for is listened for.
    static let listenSeconds: Instant = 60
    /// Topics looked for at a time.
    static let soughtMax = 256

    /// A datagram to send: its topics, at most `LocalAnnouncement.tagsMax`.
    struct Message: Hashable {
        let topics: [Topic]
        let isLooking: Bool
    }

    /// Everything that this node has, in the order in which it is announced.
    private var announced: [Topic] = []
    private var announcedSet: Set<Topic> = []
    private var nextInTurn = 0
    /// To be announced, or looked for, as soon as the rate allows.
    private var urgent: [Topic] = []
    private var looking: [Topic] = []
    /// Topics that were looked for, and until when they are listened for.
    private var sought: [Topic: Instant] = [:]
    private var lookingAt: Instant = .infinity
    private var urgentAt: Instant = .infinity
    private var periodicAt: Instant = .infinity
    private var sending: TokenBucket
    private var hearing: TokenBucket
    private var senders: [IPAddress: TokenBucket] = [:]

    init(now: Instant) {
        sending = TokenBucket(rate: Self.sentPerSecond, burst: Self.sentBurst, now: now)
        hearing = TokenBucket(rate: Self.heardPerSecond, burst: 2 * Self.heardPerSecond, now: now)
    }

    // MARK: What is said

    mutating func announce(
        _ topic: Topic, now: Instant, using generator: inout some RandomNumberGenerator
    ) {
        guard announcedSet.insert(topic).inserted else { return }
        announced.append(topic)
        hasten(topic, now: now, using: &generator)
    }

    mutating func withdraw(_ topic: Topic) {
        guard announcedSet.remove(topic) != nil else { return }
        announced.removeAll { $0 == topic }
        urgent.removeAll { $0 == topic }
    }

    mutating func find(_ topic: Topic, now: Instant) {
        if sought.count >= Self.soughtMax, sought[topic] == nil {
            sought = sought.filter { $0.value > now }
            guard sought.count < Self.soughtMax else { return }
        }
        sought[topic] = now + Self.listenSeconds
        if !looking.contains(topic) { looking.append(topic) }
        lookingAt = min(lookingAt, now)
    }

    /// When `due` has something to send; infinite where nothing is planned.
    var nextAt: Instant { min(lookingAt, urgentAt, periodicAt) }

    /// What is to be sent now.
    mutating func due(
        now: Instant, using generator: inout some RandomNumberGenerator
    ) -> [Message] {
        var messages: [Message] = []
        // What the rate does not allow is tried again when it allows one more.
        let later = now + 1 / Self.sentPerSecond
        if lookingAt <= now {
            while !looking.isEmpty, sending.take(now: now) {
                messages.append(Message(topics: Self.take(from: &looking), isLooking: true))
            }
            lookingAt = looking.isEmpty ? .infinity : later
        }
        if urgentAt <= now {
            while !urgent.isEmpty, sending.take(now: now) {
                messages.append(Message(topics: Self.take(from: &urgent), isLooking: false))
            }
            urgentAt = urgent.isEmpty ? .infinity : later
        }
        if periodicAt <= now {
            if !announced.isEmpty, sending.take(now: now) {
                messages.append(Message(topics: takeInTurn(), isLooking: false))
            }
            planPeriodic(now: now, using: &generator)
        }
        return messages
    }

    private static func take(from queue: inout [Topic]) -> [Topic] {
        let taken = Array(queue.prefix(LocalAnnouncement.tagsMax))
        queue.removeFirst(taken.count)
        return taken
    }

    /// The next topics in turn, each once.
    private mutating func takeInTurn() -> [Topic] {
        let count = min(announced.count, LocalAnnouncement.tagsMax)
        let start = nextInTurn % announced.count
        nextInTurn = start + count
        return (start..<start + count).map { announced[$0 % announced.count] }
    }

    private mutating func hasten(
        _ topic: Topic, now: Instant, using generator: inout some RandomNumberGenerator
    ) {
        if !urgent.contains(topic) { urgent.append(topic) }
        if urgentAt == .infinity {
            urgentAt = now + Double.random(in: 0..<Self.answerSecondsMax, using: &generator)
        }
        if periodicAt == .infinity { planPeriodic(now: now, using: &generator) }
    }

    private mutating func planPeriodic(
        now: Instant, using generator: inout some RandomNumberGenerator
    ) {
        periodicAt = now + Self.periodSeconds * Double.random(in: 0.8..<1.2, using: &generator)
    }

    // MARK: What is heard

    /// Whether a datagram may be looked at, or there were too many.
    mutating func admit(from sender: IPAddress, now: Instant) -> Bool {
        if senders[sender] == nil {
            // Whoever invents senders meets the rate for all; the others begin anew.
            if senders.count >= Self.sendersMax { senders = [:] }
            senders[sender] = TokenBucket(
                rate: Self.heardPerSecondOfOne, burst: 4 * Self.heardPerSecondOfOne, now: now)
        }
        return senders[sender]?.take(now: now) == true && hearing.take(now: now)
    }

    /// The topics that an announcement may be about, for `LocalAnnouncement.named`.
    func topicsOfInterest(isLooking: Bool, now: Instant) -> [Topic] {
        isLooking
            ? announced
            : announced + sought.filter { $0.value > now && !announcedSet.contains($0.key) }.keys
    }

    /// Somebody looks for topics that this node has: they are announced again soon.
    mutating func asked(
        for topics: [Topic], now: Instant, using generator: inout some RandomNumberGenerator
    ) {
        for topic in topics where announcedSet.contains(topic) {
            hasten(topic, now: now, using: &generator)
        }
    }
}
