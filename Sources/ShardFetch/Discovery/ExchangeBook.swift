package import PetalsCore

/// Who has to do with which blobs, for peer exchange: what this node tells its peers of each other.
///
/// A value machine: time and randomness are arguments. It knows peers that this node is connected
/// with, or was within the hour, and that can be dialled: this node dialled them, or they said
/// where they listen. A peer hears only of those who have joined a topic that he has joined too, or
/// who hold something of its blob.
package struct ExchangeBook: Sendable {
    /// Seconds for which a peer that is gone is still told of.
    static let memorySeconds: Instant = 3600
    /// Seconds between two messages to one peer.
    package static let pauseSeconds: Instant = 60
    /// Seconds between two messages of one peer of which the second is listened to: less than the
    /// pause, since messages do not travel equally fast.
    static let acceptSeconds: Instant = 50
    /// Seconds until it is looked again whether there is anything to tell.
    static let lookSeconds: Instant = 2
    /// Seconds of a connection before its first message: time to join topics.
    package static let firstSeconds: Instant = 2
    /// Peers that are known at a time.
    static let peersMax = 512

    private struct Peer {
        var endpoint: SocketEndpoint
        var address: IPAddress
        var blobs: Set<BlobID>
        var seenAt: Instant
    }

    private struct Link {
        var nextAt: Instant
        var heardAt: Instant = -.infinity
        var told: Set<SocketEndpoint> = []
    }

    private var peers: [PeerID: Peer] = [:]
    private var links: [PeerConnection.ID: Link] = [:]

    /// Knows nobody yet.
    package init() {}

    // MARK: Connections

    /// A connection is established.
    package mutating func opened(_ id: PeerConnection.ID, now: Instant) {
        links[id] = Link(nextAt: now + Self.firstSeconds)
    }

    /// A connection is over.
    package mutating func closed(_ id: PeerConnection.ID) { links[id] = nil }

    /// Connections that may be told something now.
    package func due(now: Instant) -> [PeerConnection.ID] {
        links.filter { $0.value.nextAt <= now }.map(\.key).sorted()
    }

    /// Notes that a peer is connected, where it can be dialled, and what it has to do with.
    package mutating func saw(
        _ peer: PeerID, at endpoint: SocketEndpoint, address: IPAddress, blobs: Set<BlobID>,
        now: Instant
    ) {
        if peers[peer] == nil, peers.count >= Self.peersMax {
            let oldest = peers.min { ($0.value.seenAt, $0.key) < ($1.value.seenAt, $1.key) }
            if let oldest { peers[oldest.key] = nil }
        }
        peers[peer] = Peer(endpoint: endpoint, address: address, blobs: blobs, seenAt: now)
    }

    // MARK: Telling

    /// What to tell a peer now, at most fifty others; nil where there is nothing new, or it is not
    /// time.
    ///
    /// - Parameters:
    ///   - topics: the topics that the peer joined, by their blobs.
    ///   - mayHear: whether the peer may hear of an address.
    package mutating func message(
        to peer: PeerID, on id: PeerConnection.ID, topics: [BlobID: Topic], now: Instant,
        using generator: inout some RandomNumberGenerator, mayHear: (IPAddress) -> Bool
    ) -> [ControlMessage.ExchangedPeer]? {
        guard var link = links[id], link.nextAt <= now else { return nil }
        peers = peers.filter { now - $0.value.seenAt < Self.memorySeconds }
        // In order before it is shuffled, so that the same random numbers give the same message.
        let candidates = peers.sorted { $0.key < $1.key }.filter {
            $0.key != peer && !$0.value.blobs.isDisjoint(with: topics.keys)
                && mayHear($0.value.address)
        }
        let chosen = candidates.shuffled(using: &generator).prefix(Limits.exchangedPeersMax)
        let news = Set(chosen.map(\.value.endpoint))
        guard !news.isSubset(of: link.told) else {
            links[id]?.nextAt = now + Self.lookSeconds
            return nil
        }
        link.nextAt = now + Self.pauseSeconds
        link.told = news
        links[id] = link
        return chosen.map { _, known in
            let shared = known.blobs.intersection(topics.keys).sorted().compactMap { topics[$0] }
            return ControlMessage.ExchangedPeer(
                address: known.address.bytes, port: known.endpoint.port,
                topics: Array(shared.prefix(Limits.exchangedTopicsMax)))
        }
    }

    // MARK: Hearing

    /// Whether a message that came is listened to, or came too soon.
    package mutating func admit(from id: PeerConnection.ID, now: Instant) -> Bool {
        guard let link = links[id], now - link.heardAt >= Self.acceptSeconds else { return false }
        links[id]?.heardAt = now
        return true
    }
}
