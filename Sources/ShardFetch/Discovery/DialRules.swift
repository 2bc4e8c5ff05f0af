/// Which of the addresses that others name may be dialled (docs/PROTOCOL.md, section 9).
///
/// A node must not become the tool of somebody who has it knock on doors behind its firewall: what
/// comes from far away never names a place that is only near.
package struct DialRules: Sendable {
    /// The networks of this machine's interfaces.
    package var networks: [IPNetwork] = []
    /// The one address that this node was told to listen on; nil for all, and for none.
    package var listening: IPAddress?
    /// The port that this node listens on; nil while it does not.
    package var listenPort: Int?
    /// Whether only addresses of this machine's networks are dialled (`--lan-only`).
    package var localOnly = false

    package init() {}

    /// Whether an address may be dialled that was learnt so.
    ///
    /// - Parameter teller: the address of the peer that told of it, for peer exchange.
    package func allow(_ address: IPAddress, from origin: PeerOrigin, teller: IPAddress?) -> Bool {
        if origin == .given { return true }
        if localOnly, !networks.contains(where: { $0.contains(address) }) { return false }
        return switch (address.scope, origin) {
        case (_, .given): true
        case (.unusable, _): false
        // An announcement reaches only the network that it is about.
        case (_, .lan): networks.contains { $0.contains(address) }
        case (.global, _): true
        case (_, .remembered): networks.contains { $0.contains(address) }
        case (_, .exchange): isShared(address, with: teller)
        case (_, .dht): isShared(address, with: listening)
        }
    }

    /// Whether a peer may be told of an address: what is only near here means nothing to him, and
    /// says something of this network.
    package func mayTell(_ address: IPAddress, to receiver: IPAddress?) -> Bool {
        switch address.scope {
        case .global: true
        case .loopback, .local: isShared(address, with: receiver)
        case .unusable: false
        }
    }

    /// Whether both addresses lie in one network of this machine.
    private func isShared(_ address: IPAddress, with other: IPAddress?) -> Bool {
        guard let other else { return false }
        return networks.contains { $0.contains(address) && $0.contains(other) }
    }

    /// Whether an address and a port are this node's own.
    package func isOurs(_ address: IPAddress, port: Int) -> Bool {
        guard port == listenPort else { return false }
        if let listening { return address == listening }
        return address.scope == .loopback || networks.contains { $0.address == address }
    }
}
