internal import PetalsCore

/// How a node takes part in a DHT.
package struct DHTConfiguration: Sendable {
    /// Nodes that are asked for others; none: the public routers, unless the DHT is private.
    package var bootstrap: [SocketEndpoint]
    /// UDP addresses to listen on, numeric; port 0 picks a free one.
    ///
    /// libtorrent listens for TCP on the same port and lets nobody in, so it cannot be the port on
    /// which the node itself listens.
    package var listen: [SocketEndpoint]
    /// Not the public DHT: loopback and private addresses are believed, as far as this node is on
    /// such a network, and no public router is asked.
    package var isPrivate: Bool
    /// Whether routers are asked to forward the node's TCP port.
    package var mapsPorts: Bool
    /// Where the routing table is kept; nil: nowhere.
    package var statePath: String?

    /// A DHT is private when all nodes to begin with have loopback or private addresses.
    package init(
        bootstrap: [SocketEndpoint] = [], listen: [SocketEndpoint] = Self.anyAddress,
        mapsPorts: Bool = false, statePath: String? = nil
    ) {
        self.bootstrap = bootstrap
        self.listen = listen
        self.mapsPorts = mapsPorts
        self.statePath = statePath
        isPrivate =
            !bootstrap.isEmpty
            && bootstrap.allSatisfy { endpoint in
                switch IPAddress(parsing: endpoint.host)?.scope {
                case .local, .loopback: true
                case .global, .unusable, nil: false
                }
            }
    }

    /// A free port of every address of this machine.
    package static let anyAddress = endpoints(["0.0.0.0:0", "[::]:0"])

    /// Where nodes of the public DHT begin, as other programs do.
    static let publicRouters = endpoints([
        "dht.libtorrent.org:25401", "router.bittorrent.com:6881", "dht.transmissionbt.com:6881",
    ])

    /// The nodes that are asked when none is known.
    var routers: [SocketEndpoint] {
        bootstrap.isEmpty && !isPrivate ? Self.publicRouters : bootstrap
    }

    /// Whether an endpoint that the DHT gave may be handed on.
    ///
    /// Anybody can put anything into the public DHT, so what is reachable only from here is never
    /// dialled for it: it would make this node knock on doors inside its own network. A private DHT
    /// may name what is in its network, and this machine itself if the DHT is on it.
    func accepts(_ endpoint: NumericEndpoint) -> Bool {
        guard endpoint.port > 0 else { return false }
        switch endpoint.address.scope {
        case .global: return true
        case .local: return isPrivate
        case .loopback:
            return isPrivate
                && listen.contains { IPAddress(parsing: $0.host)?.scope == .loopback }
        case .unusable: return false
        }
    }

    private static func endpoints(_ texts: [String]) -> [SocketEndpoint] {
        // All of them are addresses; a test counts them.
        texts.compactMap { try? SocketEndpoint(parsing: $0) }
    }
}
