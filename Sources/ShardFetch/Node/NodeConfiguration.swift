internal import PetalsCore

/// How a node meets others.
package struct NodeConfiguration: Sendable {
    /// Where to listen; port 0 picks a free one.
    ///
    /// nil: do not listen.
    package var listen: SocketEndpoint?
    /// Addresses to dial, and to dial again for as long as the node runs.
    package var peers: [SocketEndpoint] = []
    /// Where peers of the local network are met; nil: nowhere.
    package var lan: LocalNetwork.Place?
    /// How the node takes part in a DHT; nil: not at all.
    package var dht: DHTConfiguration?
    /// Other ways to find peers.
    package var sources: [(origin: PeerOrigin, source: any PeerSource)] = []
    /// Whether peers are told of each other, and listened to about others.
    package var exchangesPeers = false
    /// Whether peers that gave verified leaves are tried again after a restart.
    package var remembersPeers = false
    /// Whether found addresses outside of this machine's own networks are left alone.
    package var localOnly = false
    /// Threads for sockets and threads for hashing and disk work.
    package var threads = 2
    /// What may lie in memory between the network and the reader.
    package var memory = MemoryBudget.standard
    /// How much of what it has the node sends, and when.
    package var uploads = UploadSchedule.unlimited
    /// Minutes of the local day that have passed, by which that changes; tests let hours pass.
    package var minuteOfDay: @Sendable () -> Int = { LocalTime.minuteOfDay }
    /// The UTC day, by which topics change; tests let days pass.
    package var today: @Sendable () -> UInt32 = { UTCDay.today }

    /// Seconds since 1970, by which delegations begin and end.
    package var time: @Sendable () -> Int = { UTCDay.secondsNow }

    package init() {}
}

/// What a node is doing, for `petalsfs status`.
package struct NodeStatus: Sendable, Codable {
    /// A connected peer.
    package struct Peer: Sendable, Codable {
        package let id: String
        package let address: String
        package let agent: String
        package let dialled: Bool
        /// How this node learnt of it; null where the peer dialled.
        package let origin: String?
    }

    /// A way in which addresses are learnt.
    package struct Source: Sendable, Codable {
        package let origin: String
        /// Addresses known at the moment.
        package let known: Int
        /// Dials since the start.
        package let dialled: Int
        /// Connections at the moment.
        package let connected: Int
    }

    /// How the node stands in the DHT.
    package struct DHT: Sendable, Codable {
        /// UDP addresses that it listens on.
        package let listen: [String]
        /// Nodes of the DHT that it knows.
        package let nodes: Int
        /// The TCP port that a router forwards to the node's own; null where none does.
        package let mappedPort: Int?
    }

    /// What the node sends of what it has.
    package struct Upload: Sendable, Codable {
        /// The limit in force, in bytes a second; null for none, 0 for nothing at all.
        package let limit: Int?
        /// The time table of limits; empty for none.
        package let times: String
        /// Bytes of frames with leaves that were sent, since the start.
        package let bytes: Int
        /// The same a second, lately.
        package let rate: Int
        /// Requests that wait.
        package let waiting: Int
        /// Whether more is wanted, by more than one peer, than the limit lets through.
        package let contended: Bool
        /// Peers of which requests wait.
        package let waiters: [Waiter]
    }

    /// A peer that waits for what this node sends.
    package struct Waiter: Sendable, Codable {
        package let id: String
        /// What it has to expect of a contended uplink: funded, overdrawn, newcomer or idle.
        package let tier: String
        /// Requests of it.
        package let requests: Int
        /// Whether it has to sign for what it had before it is sent more.
        package let unpaid: Bool
    }

    package var peerID: String
    package var listen: String?
    package var peers: [Peer]
    package var sources: [Source]
    /// Nil: the node takes part in none.
    package var dht: DHT?
    /// Bytes that came from peers and were verified, since the start.
    package var fetchedBytes: Int
    /// Bytes that were asked of a second peer because the first one was late, since the start;
    /// only these can have come twice.
    package var hedgedBytes: Int
    /// Bytes of leaves sent to peers, since the start.
    package var servedBytes: Int
    package var upload: Upload
    /// Leaves that were not what they claimed to be.
    package var damagedLeaves: Int
    package var rebuiltCells: Int
    /// Cells that are wanted and not here.
    package var wantedCells: Int
    /// The memory budget, in bytes.
    package var memoryLimit: Int
    /// Bytes of verified cells in memory.
    package var memoryHot: Int
    /// Bytes asked of peers that have not come yet.
    package var memoryUnderWay: Int
}
