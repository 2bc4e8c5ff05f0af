package import PetalsCore

/// Whom this node talks to: how many connections from where, who is banned and until when.
///
/// A value machine: time comes in as an argument and nothing here opens a socket.
package struct PeerBook {
    /// Seconds for which a peer is left out after its first bad leaf; doubles with each further
    /// one.
    package static let blameSeconds: Instant = 600
    /// Seconds for which the address of a peer that lied twice is left out.
    package static let addressBanSeconds: Instant = 3600
    /// Peers and addresses remembered as liars.
    package static let bansMax = 4096

    private struct Ban {
        var offences = 0
        var until: Instant = 0
    }

    private var connections: [PeerConnection.ID: String?] = [:]
    private var perNetwork: [String: Int] = [:]
    private var halfOpen: [String: Int] = [:]
    private var bannedPeers: [PeerID: Ban] = [:]
    private var bannedHosts: [String: Instant] = [:]

    package init() {}

    /// Established connections.
    package var connectionCount: Int { connections.count }

    // MARK: Connections

    /// Whether one more unfinished handshake from `host` may begin.
    package mutating func beginHandshake(host: String, now: Instant) -> Bool {
        guard (bannedHosts[host] ?? 0) <= now else { return false }
        guard halfOpen[host, default: 0] < Limits.halfOpenPerAddressMax else { return false }
        halfOpen[host, default: 0] += 1
        return true
    }

    /// Ends what `beginHandshake` allowed, whatever became of it.
    package mutating func endHandshake(host: String) {
        guard let count = halfOpen[host] else { return }
        halfOpen[host] = count > 1 ? count - 1 : nil
    }

    /// Admits an established connection, or says why not.
    ///
    /// - Parameter network: what `SocketEndpoint.network` says; nil is not counted per network.
    package mutating func open(
        _ id: PeerConnection.ID, peer: PeerID, network: String?, now: Instant
    ) -> String? {
        if let ban = bannedPeers[peer], ban.until > now { return "the peer is banned for lying" }
        guard connections.count < Limits.peersMax else { return "there are too many peers" }
        if let network, perNetwork[network, default: 0] >= Limits.peersPerNetworkMax {
            return "there are too many peers from one network"
        }
        connections[id] = .some(network)
        if let network { perNetwork[network, default: 0] += 1 }
        return nil
    }

    /// Forgets a connection that is over.
    package mutating func close(_ id: PeerConnection.ID) {
        guard let network = connections.removeValue(forKey: id), let network else { return }
        guard let count = perNetwork[network] else { return }
        perNetwork[network] = count > 1 ? count - 1 : nil
    }

    // MARK: Blame

    /// Records that a peer sent a leaf that is not what it claims to be.
    ///
    /// - Returns: for how many seconds the peer is left out.
    package mutating func blame(_ peer: PeerID, host: String?, now: Instant) -> Instant {
        if bannedPeers.count >= Self.bansMax {
            bannedPeers = bannedPeers.filter { $0.value.until > now }
        }
        if bannedHosts.count >= Self.bansMax {
            bannedHosts = bannedHosts.filter { $0.value > now }
        }
        var ban = bannedPeers[peer] ?? Ban()
        ban.offences += 1
        // Ten doublings are a week; more would only overflow.
        let seconds = Self.blameSeconds * Double(1 << min(ban.offences - 1, 10))
        ban.until = now + seconds
        bannedPeers[peer] = ban
        if let host, ban.offences >= 2 { bannedHosts[host] = now + Self.addressBanSeconds }
        return seconds
    }

    /// Whether a peer is left out at the moment.
    package func isBanned(_ peer: PeerID, now: Instant) -> Bool {
        (bannedPeers[peer]?.until ?? 0) > now
    }
}
