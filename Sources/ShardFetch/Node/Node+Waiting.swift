package import PetalsCore
internal import PetalsStore
internal import Synchronization

extension Node {
    /// Reads of one blob that wait for bytes.
    package struct Waiting: Hashable, Sendable {
        package let blob: BlobID
        package let reads: Int
        /// What the first of them lacks, and who could have it.
        package let lacks: String
    }

    /// What is read and has not come; answers from memory.
    package func waiting() -> [Waiting] {
        let opening = discovery.needs.compactMap { need, reads -> Waiting? in
            guard case .blob(let id, _) = need else { return nil }
            return Waiting(
                blob: id, reads: reads,
                lacks: "its descriptor is missing, and no peer that is connected has it "
                    + "(\(engine.connected)); start a holder, or name one with --peer")
        }
        return (opening + engine.waiting()).sorted { $0.blob < $1.blob }
    }

    /// What a manifest that somebody waits for lacks; nil where nobody waits for it.
    package func lacks(manifest id: ManifestID) -> String? {
        let isWanted = discovery.needs.keys.contains { need in
            if case .model(let wanted, _) = need { wanted == id } else { false }
        }
        guard isWanted else { return nil }
        return "no peer that is connected has it (\(engine.connected)); start a node that does, or "
            + "name one with --peer"
    }

    /// The peers that are connected, for people.
    package var connectedPeers: String { engine.connected }
}

extension Discovery {
    /// What somebody waits for that no session asks for yet, and how many do.
    var needs: [Need: Int] { state.withLock { $0.needs } }
}

extension FetchEngine {
    fileprivate func waiting() -> [Node.Waiting] {
        let tickets = state.withLock { state in
            Dictionary(grouping: state.tickets, by: \.key.blob).compactMap { blob, waiting in
                state.sessions[blob].map { ($0.id, waiting.flatMap(\.value)) }
            }
        }
        return tickets.compactMap { id, tickets in
            guard let first = tickets.first else { return nil }
            return Node.Waiting(
                blob: id, reads: Set(tickets.map(ObjectIdentifier.init)).count,
                lacks: describe(first))
        }
    }

    /// The peers that are connected, for people.
    var connected: String {
        let peers = state.withLock { $0.connections.values.map(\.address) }.sorted().prefix(8)
        return peers.isEmpty
            ? "no peer is connected" : "connected: \(peers.joined(separator: ", "))"
    }
}
