internal import PetalsCore

/// Which items of the DHT (BEP 44) are to be stored and looked for, and when: a value machine
/// without clock or socket.
///
/// Nodes keep an item for two hours (BEP 44), so it is stored again every half hour to three
/// quarters, and soon where few nodes were known, as announcements are. One that is looked for is
/// asked for every five minutes once it was found, and before that after five seconds, ten, twenty
/// and so on. Both together happen at most once in two seconds: an item costs as many datagrams as
/// a topic, and nobody waits for one as a read waits.
struct ItemSchedule {
    /// What is to be done now.
    enum Action: Hashable {
        case put(MutableItem)
        case get(Name)
    }

    /// What an item is looked for by.
    struct Name: Hashable {
        /// Ed25519, 32 bytes.
        let key: [UInt8]
        let salt: [UInt8]
    }

    static let putSecondsMax: Instant = 45 * 60
    static let putSecondsMin: Instant = 10
    static let getSecondsMax: Instant = 300
    static let getSecondsMin: Instant = 5
    private static let actionsPerSecond = 0.5
    private static let actionsBurst = 4.0

    private struct Due {
        var at: Instant
        var interval: Instant
    }

    private var puts: [Name: (item: MutableItem, due: Due)] = [:]
    private var gets: [Name: Due] = [:]
    private var pace: TokenBucket

    init(now: Instant) {
        pace = TokenBucket(rate: Self.actionsPerSecond, burst: Self.actionsBurst, now: now)
    }

    /// Says what is to be stored and looked for from now on.
    mutating func set(puts items: [MutableItem], gets names: Set<Name>, now: Instant) {
        let former = puts
        puts = [:]
        for item in items {
            let name = Name(key: item.key, salt: item.salt)
            // Of two items of one name, the DHT keeps the higher.
            if let other = puts[name], other.item.sequence >= item.sequence { continue }
            let known = former[name].flatMap { $0.item == item ? $0.due : nil }
            puts[name] = (item, known ?? Due(at: now, interval: Self.putSecondsMin))
        }
        let old = gets
        gets = [:]
        for name in names {
            gets[name] = old[name] ?? Due(at: now, interval: Self.getSecondsMin)
        }
    }

    /// An item was found.
    mutating func found(_ name: Name, now: Instant) {
        guard gets[name] != nil else { return }
        gets[name] = Due(at: now + Self.getSecondsMax, interval: Self.getSecondsMin)
    }

    /// What is to be done now; nil when there is nothing, until `pause` is over.
    ///
    /// - Parameter nodes: how many nodes of the DHT are known; nothing is done with none.
    mutating func next(
        now: Instant, nodes: Int, using generator: inout some RandomNumberGenerator
    ) -> Action? {
        guard nodes > 0 else { return nil }
        let put = puts.min { $0.value.due.at < $1.value.due.at }
        let get = gets.min { $0.value.at < $1.value.at }
        if let (name, due) = get, due.at <= now, due.at <= put?.value.due.at ?? .infinity {
            guard pace.take(now: now) else { return nil }
            gets[name] = Due(
                at: now + due.interval, interval: min(2 * due.interval, Self.getSecondsMax))
            return .get(name)
        }
        guard let (name, (item, due)) = put, due.at <= now, pace.take(now: now) else { return nil }
        let interval = nodes >= DHTSchedule.nodesFew ? Self.putSecondsMax : due.interval
        let wait = interval * Double.random(in: 0.7...1, using: &generator)
        puts[name]?.due = Due(at: now + wait, interval: min(2 * interval, Self.putSecondsMax))
        return .put(item)
    }

    /// Seconds after which `next`, which has just given nil, may give something.
    func pause(now: Instant) -> Instant {
        let put = puts.values.lazy.map(\.due.at).min() ?? .infinity
        let get = gets.values.lazy.map(\.at).min() ?? .infinity
        // What is due already waits for the pace.
        return max(min(put, get) - now, 0.5)
    }
}
