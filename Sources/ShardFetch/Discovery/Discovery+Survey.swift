internal import NIOCore
internal import PetalsCodec
internal import PetalsCore
internal import PetalsStore
internal import Synchronization

// What this node has and lacks.

extension Discovery {
    /// Looks at what this node has, at what it reads, and at its interfaces; tells the sources what
    /// has changed.
    func survey(now: Instant) {
        let networks = Self.networks()
        let fresh = topicsToAnnounce()
        let day = today()
        let thin = Set(
            node.engine.thinSessions(holders: Self.holdersWanted).map { $0.topic(day: day) }
                + thinCatalogues().map { Need.catalogue($0).topic(day: day) })
        let (added, removed) = state.withLock { state in
            state.surveyedAt = now
            state.plan.rules.networks = networks
            state.thin = thin
            defer { state.announced = fresh }
            return (fresh.subtracting(state.announced), state.announced.subtracting(fresh))
        }
        for (_, source) in sources {
            for topic in removed { source.withdraw(topic) }
            for topic in added { source.announce(topic) }
        }
    }

    /// The topics of catalogues whose log and of models whose manifest is here, of blobs with any
    /// cell here, and of public files among them: the largest first, as many as are announced at
    /// all; where no shards are sent, only those of catalogues.
    private func topicsToAnnounce() -> Set<Topic> {
        let (models, isListening) = state.withLock { ($0.models, $0.isListening) }
        guard isListening else { return [] }
        let listed = node.catalogues.demand().filter(\.isKnown)
            .map { (size: Int.max, need: Need.catalogue($0.id)) }
        let needs = listed + (node.server.isServing ? needsServed(models: models) : [])
        let days = UTCDay.near(today(), secondOfDay: UTCDay.secondOfDay)
        let chosen = needs.sorted { $0.size > $1.size }
            .prefix(Limits.announcedTopicsMax / days.count)
        return Set(chosen.flatMap { item in days.map { item.need.topic(day: $0) } })
    }

    /// What peers can get here, with its size in bytes.
    private func needsServed(
        models: [ManifestID: SecretKey]
    ) -> [(size: Int, need: Need)] {
        let blobs = node.topics.all().filter { !$0.heldShards().isEmpty }
        let held = Set(blobs.map(\.id))
        let files = node.server.records.offered.filter { held.contains($0.blobID) }
        return models.map { (Int.max, Need.model($0.key, relayKey: $0.value)) }
            + blobs.map { ($0.geometry.storedLength, .blob($0.id, relayKey: $0.relayKey)) }
            + files.map { ($0.size, .file(sha256: $0.sha256)) }
    }

    /// Catalogues of which nothing is known, or not what the DHT tells of, and that no connected
    /// peer follows.
    func unheardCatalogues() -> [CatalogueID] {
        node.catalogues.demand().filter { $0.isBehind || (!$0.isKnown && $0.peers == 0) }.map(\.id)
    }

    /// Catalogues that few connected peers follow, who could tell of news.
    private func thinCatalogues() -> [CatalogueID] {
        node.catalogues.demand().filter { $0.peers < Self.followersWanted }.map(\.id)
    }

    /// The networks of this machine's interfaces.
    static func networks() -> [IPNetwork] {
        // Without the list nothing counts as near, and far addresses are dialled all the same.
        let devices = (try? System.enumerateDevices()) ?? []
        return devices.compactMap { device in
            guard let address = device.address.flatMap(IPAddress.init),
                let netmask = device.netmask.flatMap(IPAddress.init)
            else { return nil }
            return IPNetwork(address, netmask: netmask)
        }
    }
}

extension FetchEngine {
    /// Blobs of which something is wanted that no connected peer can give.
    func stuckSessions() -> [BlobSession] {
        state.withLock { state in
            Set(state.scheduler.stuckKeys.map(\.blob)).compactMap { state.sessions[$0] }
        }
    }

    /// Blobs of which something is wanted, and that fewer than so many connected peers hold; and
    /// those that a donor watches.
    func thinSessions(holders wanted: Int) -> [BlobSession] {
        state.withLock { state in
            let watched = state.sessions.filter { $0.value.isWatched.load(ordering: .relaxed) }
            let blobs = Set(state.scheduler.jobs.keys.map(\.blob)).union(watched.keys)
            guard !blobs.isEmpty else { return [] }
            var holders: [FetchScheduler.BlobHandle: Set<PeerConnection.ID>] = [:]
            for (key, peers) in state.scheduler.holders where blobs.contains(key.blob) {
                holders[key.blob, default: []].formUnion(peers.keys)
            }
            return blobs.filter { blob in
                // A donor has to know most of those who hold what it chooses from.
                let count = watched[blob] == nil ? wanted : Limits.discoveredPeersMax / 2
                return (holders[blob]?.count ?? 0) < count
            }
            .compactMap { state.sessions[$0] }
        }
    }
}
