package import PetalsCore

/// What the DHT is to be asked, and when: a value machine without clock or socket.
///
/// An announcement lasts 30 minutes or more where it is stored (BEP 5 says nothing, libtorrent 45),
/// so it is repeated after 20 to 25; at random, so that a node's announcements do not come in
/// bursts. While few nodes are known it may have gone to the wrong ones, and is repeated after ten
/// seconds, twenty, forty and so on.
///
/// A lookup that found something is repeated after a minute at the earliest, one that found nothing
/// after a second, two, four and so on up to a minute. Who asks earlier is served then.
///
/// Together there are two a second, lookups first, because a read may be waiting for one. One is
/// some 40 datagrams in each direction, and nodes stop listening to an address that sends them more
/// than 5 a second. So 2400 topics can be announced in time, and more are announced less often.
package struct DHTSchedule {
    /// What is to be done now.
    package enum Action: Hashable {
        case announce(Topic)
        case find(Topic)
        /// Ask how many nodes are known.
        case countNodes
        /// Ask the nodes that were configured.
        case bootstrap
        /// Save the routing table.
        case save
    }

    /// Between two announcements of one topic.
    static let announceSecondsMax: Instant = 25 * 60
    /// Between the first two announcements while few nodes are known.
    static let announceSecondsMin: Instant = 10
    /// How many nodes are few: two buckets of a routing table.
    static let nodesFew = 16
    /// Between two lookups of one topic when the former found something.
    static let findSeconds: Instant = 60
    /// Before a lookup that found nothing is repeated the first time.
    static let findSecondsMin: Instant = 1
    /// Announcements and lookups a second.
    static let lookupsPerSecond = 2.0
    /// Announcements and lookups at once.
    static let lookupsBurst = 8.0
    /// Topics announced, and lookups remembered.
    package static let topicsMax = 8192

    /// Between two counts of nodes: until one is known, and from then on.
    private static let countSecondsMin: Instant = 0.25
    private static let countSecondsMax: Instant = 10
    private static let bootstrapSeconds: ClosedRange<Instant> = 5...60
    private static let saveSeconds: Instant = 20 * 60
    /// An announcement that waited for so long gets every second turn.
    private static let lateSeconds: Instant = 60

    private struct Announcement {
        var due: Instant
        var interval = DHTSchedule.announceSecondsMin
    }

    private struct Lookup {
        var isWanted = true
        var began: Instant = -.infinity
        /// Not before this moment.
        var due: Instant = -.infinity
        var interval = DHTSchedule.findSecondsMin
    }

    private let topicsMax: Int
    private var announced: [Topic: Announcement] = [:]
    private var lookups: [Topic: Lookup] = [:]
    private var pace: TokenBucket
    private var nodes = 0
    /// Whether the latest turn was a lookup's.
    private var hasFound = false
    private var countDue: Instant
    private var bootstrapDue: Instant
    private var bootstrapInterval = Self.bootstrapSeconds.lowerBound
    private var saveDue: Instant

    /// Begins with nobody known.
    package init(now: Instant, topicsMax: Int = Self.topicsMax) {
        self.topicsMax = topicsMax
        pace = TokenBucket(rate: Self.lookupsPerSecond, burst: Self.lookupsBurst, now: now)
        countDue = now
        bootstrapDue = now
        saveDue = now + Self.saveSeconds / 2
    }

    /// Topics that are announced.
    var announcedCount: Int { announced.count }
    /// Lookups that are wanted or remembered.
    var lookupCount: Int { lookups.count }

    // MARK: Events

    /// Announces a topic from now on.
    ///
    /// - Returns: false when there are `topicsMax` already.
    package mutating func announce(_ topic: Topic, now: Instant) -> Bool {
        if announced[topic] != nil { return true }
        guard announced.count < topicsMax else { return false }
        announced[topic] = Announcement(due: now)
        return true
    }

    /// Announces a topic no more.
    package mutating func withdraw(_ topic: Topic) { announced[topic] = nil }

    /// Announces everything anew, because there is something else to say.
    mutating func announceAgain(now: Instant) {
        for topic in announced.keys { announced[topic]?.due = now }
    }

    /// Wants a topic looked up, at once or as soon as it may be.
    package mutating func find(_ topic: Topic, now: Instant) {
        if lookups[topic] != nil {
            lookups[topic]?.isWanted = true
            return
        }
        if lookups.count >= topicsMax {
            lookups = lookups.filter { $0.value.isWanted || $0.value.due > now }
        }
        guard lookups.count < topicsMax else { return }
        lookups[topic] = Lookup()
    }

    /// A lookup of the topic found something.
    package mutating func answered(_ topic: Topic, now: Instant) {
        guard var lookup = lookups[topic], lookup.began <= now else { return }
        lookup.due = lookup.began + Self.findSeconds
        lookup.interval = Self.findSecondsMin
        lookups[topic] = lookup
    }

    /// So many nodes are known.
    package mutating func counted(nodes: Int) { self.nodes = max(0, nodes) }

    /// The session ended; another one begins with nobody known.
    mutating func restart(now: Instant) {
        let former = self
        self = DHTSchedule(now: now, topicsMax: topicsMax)
        announced = former.announced.mapValues { _ in Announcement(due: now) }
        for (topic, lookup) in former.lookups where lookup.isWanted { lookups[topic] = Lookup() }
    }

    // MARK: Actions

    /// What is to be done now; nil when there is nothing, until `pause` is over.
    package mutating func next(
        now: Instant, using generator: inout some RandomNumberGenerator
    ) -> Action? {
        if countDue <= now {
            countDue = now + (nodes == 0 ? Self.countSecondsMin : Self.countSecondsMax)
            return .countNodes
        }
        if nodes == 0 {
            guard bootstrapDue <= now else { return nil }
            bootstrapDue = now + bootstrapInterval
            bootstrapInterval = min(bootstrapInterval * 2, Self.bootstrapSeconds.upperBound)
            return .bootstrap
        }
        bootstrapInterval = Self.bootstrapSeconds.lowerBound
        if saveDue <= now {
            saveDue = now + Self.saveSeconds
            return .save
        }
        return nextLookup(now: now, using: &generator)
    }

    private mutating func nextLookup(
        now: Instant, using generator: inout some RandomNumberGenerator
    ) -> Action? {
        let wanted = wantedLookups.min { $0.value.due < $1.value.due }
        let announcement = announced.min { $0.value.due < $1.value.due }
        // Lookups first; but many of them take turns with announcements that are late.
        let yields = hasFound && (announcement?.value.due ?? .infinity) + Self.lateSeconds <= now
        if !yields, let (topic, lookup) = wanted, lookup.due <= now {
            guard pace.take(now: now) else { return nil }
            hasFound = true
            began(topic, now: now)
            return .find(topic)
        }
        guard let (topic, first) = announcement, first.due <= now, pace.take(now: now)
        else { return nil }
        hasFound = false
        var next = first
        if nodes >= Self.nodesFew { next.interval = Self.announceSecondsMax }
        next.due = now + next.interval * Double.random(in: 0.8...1, using: &generator)
        next.interval = min(next.interval * 2, Self.announceSecondsMax)
        announced[topic] = next
        // To announce a topic is to look it up as well.
        if lookups[topic] != nil { began(topic, now: now) }
        return .announce(topic)
    }

    private var wantedLookups: some Sequence<(key: Topic, value: Lookup)> {
        lookups.lazy.filter { $0.value.isWanted }
    }

    private mutating func began(_ topic: Topic, now: Instant) {
        guard var lookup = lookups[topic] else { return }
        lookup.isWanted = false
        lookup.began = now
        lookup.due = now + lookup.interval
        lookup.interval = min(lookup.interval * 2, Self.findSeconds)
        lookups[topic] = lookup
    }

    /// Seconds after which `next`, which has just given nil, may give something.
    package func pause(now: Instant) -> Instant {
        var due = countDue
        if nodes == 0 {
            due = min(due, bootstrapDue)
        } else {
            due = min(due, saveDue)
            // What is due already waits for the pace.
            let lookup = wantedLookups.lazy.map(\.value.due).min() ?? .infinity
            let announcement = announced.values.lazy.map(\.due).min() ?? .infinity
            due = min(due, max(min(lookup, announcement), now + 1 / Self.lookupsPerSecond))
        }
        return max(0, due - now)
    }
}
