package import PetalsCore

/// What a source found: an address where a topic's peers may be.
///
/// A hint, until TLS and a first verified leaf.
package struct PeerHint: Hashable, Sendable {
    package let topic: Topic
    package let endpoint: SocketEndpoint

    package init(topic: Topic, endpoint: SocketEndpoint) {
        self.topic = topic
        self.endpoint = endpoint
    }
}

extension ControlMessage.ExchangedPeer {
    /// What a peer that was told of comes to: one hint for each topic; none without an address.
    package var hints: [PeerHint] {
        guard let address = IPAddress(address) else { return [] }
        let endpoint = SocketEndpoint(address, port: port)
        return topics.map { PeerHint(topic: $0, endpoint: endpoint) }
    }
}

/// How this node learnt of an address.
package enum PeerOrigin: String, Hashable, Sendable, Codable, CaseIterable {
    /// A person named it: `--peer`, or the link.
    case given
    /// It announced itself in the local network.
    case lan
    /// A connected peer told of it.
    case exchange
    /// It was found in the distributed hash table.
    case dht
    /// It gave verified leaves in an earlier run.
    case remembered
}

/// One way to meet peers of a topic: LAN, DHT, ...
package protocol PeerSource: Sendable {
    /// Begins, and hands each hint to `found` (from any thread) until `stop`.
    ///
    /// - Parameter listenPort: where this node can be dialled; 0 when it cannot.
    /// - Throws: `PetalsError` where the source cannot be used here; the node goes on without it.
    func start(
        listenPort: Int, found: @escaping @Sendable ([PeerHint]) -> Void
    ) async throws(PetalsError)
    /// Tells others that this node is to be met under the topic, again and again until `withdraw`.
    func announce(_ topic: Topic)
    /// Ends what `announce` began.
    func withdraw(_ topic: Topic)
    /// Looks for peers of the topic once; answers come to `found`.
    func find(_ topic: Topic)
    /// Ends; nothing is found any more when it returns.
    func stop() async
}
