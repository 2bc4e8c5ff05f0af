internal import PetalsCore

extension DialPlan {
    /// The next thing to do now; nil where there is none, or where it has to wait.
    ///
    /// The caller carries it out and asks again until it gets nil.
    package mutating func next(
        now: Instant, using generator: inout some RandomNumberGenerator
    ) -> Action? {
        prune(now: now)
        guard dialsUnderWay < Limits.dialsUnderWayMax else { return nil }
        // Half of what may be under way is left to others.
        if dialsUnderWay < Limits.dialsUnderWayMax / 2,
            let endpoint = given.first(where: { records[$0] == nil && isDue($0, now: now) })
        {
            begin(endpoint, .given, now: now)
            return .dial(endpoint, .given)
        }
        guard recentDials.count < Limits.dialsPerSecondMax else { return nil }
        for step in Self.turns.indices {
            let origin = Self.turns[(turn + step) % Self.turns.count]
            let found =
                origin == .given
                ? dueGiven(now: now) : dueHint(of: origin, now: now, using: &generator)
            guard let endpoint = found else { continue }
            if origin != .given, discoveredCount >= Limits.discoveredPeersMax {
                guard let idle = idlest(now: now) else { continue }
                connections[idle]?.isClosing = true
                return .close(idle)
            }
            turn = (turn + step + 1) % Self.turns.count
            begin(endpoint, origin, now: now)
            return .dial(endpoint, origin)
        }
        return nil
    }

    /// How many addresses of each origin there are.
    package var counts: [PeerOrigin: Count] {
        var counts: [PeerOrigin: Count] = [:]
        for origin in PeerOrigin.allCases {
            var known: Set<SocketEndpoint> = origin == .given ? Set(given) : []
            for (key, sample) in samples where key.origin == origin {
                known.formUnion(sample.endpoints.keys)
            }
            let connected = connections.values.filter { $0.origin == origin }
            // Also when nothing is wanted of their topics any more.
            for connection in connected { known.formUnion(connection.endpoints) }
            counts[origin] = Count(
                known: known.count, dialled: dialled[origin] ?? 0, connected: connected.count)
        }
        return counts
    }

    private mutating func begin(_ endpoint: SocketEndpoint, _ origin: PeerOrigin, now: Instant) {
        if origin != .given || records[endpoint] != nil { recentDials.append(now) }
        records[endpoint, default: Record()].stage = .dialling
        dialsUnderWay += 1
        if !isGiven(endpoint) { discoveredUnderWay += 1 }
        dialled[origin, default: 0] += 1
        if let address = IPAddress(parsing: endpoint.host), address.scope == .global {
            hostPauses[endpoint.host] = now + Self.hostPause
        }
    }

    // MARK: Who is due

    private func isDue(_ endpoint: SocketEndpoint, now: Instant) -> Bool {
        guard let record = records[endpoint] else { return true }
        return record.isIdle && record.notBefore <= now && !ownEndpoints.contains(endpoint)
    }

    /// The given address that is due and has failed least.
    private func dueGiven(now: Instant) -> SocketEndpoint? {
        given.filter { isDue($0, now: now) }
            .min { (records[$0]?.failures ?? 0) < (records[$1]?.failures ?? 0) }
    }

    /// An address of an origin for something that is wanted; topics take turns.
    private mutating func dueHint(
        of origin: PeerOrigin, now: Instant, using generator: inout some RandomNumberGenerator
    ) -> SocketEndpoint? {
        guard !wanted.isEmpty else { return nil }
        if origin == .remembered {
            return due(SampleKey(origin: origin, topic: nil), now: now, using: &generator)
        }
        for step in wanted.indices {
            let index = (wantedTurn + step) % wanted.count
            let key = SampleKey(origin: origin, topic: wanted[index])
            if let endpoint = due(key, now: now, using: &generator) {
                wantedTurn = index + 1
                return endpoint
            }
        }
        return nil
    }

    /// An address of a sample that is due: by chance among those that failed least.
    private func due(
        _ key: SampleKey, now: Instant, using generator: inout some RandomNumberGenerator
    ) -> SocketEndpoint? {
        guard let sample = samples[key] else { return nil }
        let due = sample.endpoints.keys.filter { endpoint in
            guard isDue(endpoint, now: now) else { return false }
            return origin(key.origin, mayDial: endpoint, now: now)
        }
        guard let least = due.map({ records[$0]?.failures ?? 0 }).min() else { return nil }
        // In order, so that the same random numbers give the same choice.
        return due.filter { (records[$0]?.failures ?? 0) == least }
            .sorted { ($0.host, $0.port) < ($1.host, $1.port) }
            .randomElement(using: &generator)
    }

    private func origin(
        _ origin: PeerOrigin, mayDial endpoint: SocketEndpoint, now: Instant
    ) -> Bool {
        switch origin {
        case .given, .lan, .remembered: true
        case .exchange, .dht: (hostPauses[endpoint.host] ?? -.infinity) <= now
        }
    }

    // MARK: Places

    /// Connections and dials that take one of the discovered connections' places.
    private var discoveredCount: Int {
        discoveredUnderWay
            + connections.values.count { ($0.origin ?? .given) != .given && !$0.isClosing }
    }

    /// The discovered connection that has been of no use for longest, and long enough.
    private func idlest(now: Instant) -> PeerConnection.ID? {
        connections.filter { _, connection in
            (connection.origin ?? .given) != .given && !connection.isProven
                && !connection.isClosing
                && now - connection.openedAt >= Self.idleSecondsMax
        }.min { ($0.value.openedAt, $0.key) < ($1.value.openedAt, $1.key) }?.key
    }

    // MARK: Forgetting

    /// Seconds after which an address that is not named again is forgotten.
    private static func lifetime(of origin: PeerOrigin) -> Instant {
        switch origin {
        // Twelve announcements.
        case .lan: 60
        case .exchange, .dht: 900
        case .given, .remembered: .infinity
        }
    }

    /// Forgets what is over.
    mutating func prune(now: Instant) {
        recentDials.removeAll { now - $0 >= 1 }
        guard now - lastPruned >= 10 else { return }
        lastPruned = now
        for key in samples.keys {
            samples[key]?.removeOlder(than: Self.lifetime(of: key.origin), now: now)
        }
        samples = samples.filter { !$0.value.endpoints.isEmpty }
        hostPauses = hostPauses.filter { $0.value > now }
        records = records.filter { endpoint, record in
            !record.isIdle || record.notBefore + Self.memorySeconds > now
                || given.contains(endpoint)
        }
        // Hours of dials that all fail come here; those that may be dialled again soonest go.
        while records.count > Self.recordsMax {
            let idle = records.filter { $0.value.isIdle && !given.contains($0.key) }
            guard let soonest = idle.min(by: { $0.value.notBefore < $1.value.notBefore }) else {
                return
            }
            records[soonest.key] = nil
        }
    }

    /// Drops the sample that was named longest ago, of a topic that is not wanted where there is
    /// one, when there are as many as there may be.
    mutating func makeRoomForSample() {
        guard samples.count >= Self.samplesMax else { return }
        let wanted = Set(wanted)
        let oldest = samples.min { a, b in
            let (aWanted, bWanted) = (
                a.key.topic.map(wanted.contains) ?? true, b.key.topic.map(wanted.contains) ?? true
            )
            if aWanted != bWanted { return bWanted }
            return a.value.lastNamed < b.value.lastNamed
        }
        if let oldest { samples[oldest.key] = nil }
    }
}
