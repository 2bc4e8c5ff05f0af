/// A bounded random sample of the addresses that one source named for one topic.
///
/// Whoever names a thousand addresses gets no more places than whoever names thirty: once the
/// places are taken, the n-th newcomer gets one by chance, 32 in n (reservoir sampling, Vitter's
/// algorithm R). So a flood cannot grow the memory, and what was there first is not simply pushed
/// out by what comes last.
package struct HintReservoir: Sendable {
    /// Addresses of one sample.
    package static let countMax = 32
    /// Newcomers are counted anew after so long, about the time between two lookups: an address
    /// that is named today must not compete with all that were ever named.
    package static let windowSeconds: Instant = 60

    /// The addresses, each with the time at which it was last named.
    package private(set) var endpoints: [SocketEndpoint: Instant] = [:]
    /// When anything was last named.
    package private(set) var lastNamed: Instant
    /// The same addresses in their places: a dictionary has another order in each process.
    private var order: [SocketEndpoint] = []
    private var seen = 0
    private var windowStart: Instant

    package init(now: Instant) {
        lastNamed = now
        windowStart = now
    }

    /// Takes note of an address that was named.
    package mutating func add(
        _ endpoint: SocketEndpoint, now: Instant, using generator: inout some RandomNumberGenerator
    ) {
        lastNamed = now
        if now - windowStart >= Self.windowSeconds {
            windowStart = now
            seen = endpoints.count
        }
        if endpoints[endpoint] != nil {
            endpoints[endpoint] = now
            return
        }
        seen += 1
        if order.count >= Self.countMax {
            let place = Int.random(in: 0..<seen, using: &generator)
            guard order.indices.contains(place) else { return }
            endpoints[order[place]] = nil
            order[place] = endpoint
        } else {
            order.append(endpoint)
        }
        endpoints[endpoint] = now
    }

    /// Drops an address that led nowhere.
    package mutating func remove(_ endpoint: SocketEndpoint) {
        guard endpoints.removeValue(forKey: endpoint) != nil else { return }
        order.removeAll { $0 == endpoint }
    }

    /// Drops what was not named again for so long.
    package mutating func removeOlder(than seconds: Instant, now: Instant) {
        endpoints = endpoints.filter { now - $0.value < seconds }
        order.removeAll { endpoints[$0] == nil }
    }
}
