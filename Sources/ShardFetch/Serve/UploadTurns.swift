package import PetalsCore

/// Whose turn it is among peers that wait for this node: who of them was sent least.
///
/// The one place where that is decided. All peers have the same share; a peer with a thousand
/// requests has no more of it than one with one. Who was away does not save up: it comes back as
/// if it had been sent as much as whoever was sent least of those who wait (start-time fair
/// queueing, Goyal, Vin and Cheng 1996), so the past is forgotten as soon as a peer wants nothing.
package struct UploadTurns: Sendable {
    /// What each peer was sent, by the clock below; who is behind it is left out.
    private var sent: [PeerID: Double] = [:]
    /// What was sent to whoever was sent least of those who waited last.
    private var clock = 0.0

    package init() {}

    /// Says who waits, for whatever.
    package mutating func look(at waiting: some Sequence<PeerID>) {
        guard let least = waiting.map({ start(of: $0) }).min() else { return }
        clock = max(clock, least)
    }

    /// Whose turn it is among some of those who wait; nil where there are none.
    ///
    /// - Parameter peer: who stands behind each; of equals, the first is taken.
    package func next<Waiting>(
        of waiting: [Waiting], peer: (Waiting) -> PeerID
    ) -> Waiting? {
        waiting.min { start(of: peer($0)) < start(of: peer($1)) }
    }

    /// A peer was sent something.
    package mutating func sent(_ bytes: Int, to peer: PeerID) {
        sent[peer] = start(of: peer) + Double(bytes)
        // Whoever is not ahead of the clock is as good as unknown.
        if sent.count > 2 * Limits.peersMax { sent = sent.filter { $0.value > clock } }
    }

    private func start(of peer: PeerID) -> Double { max(sent[peer] ?? 0, clock) }
}
