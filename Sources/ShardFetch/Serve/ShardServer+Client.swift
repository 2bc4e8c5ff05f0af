internal import DequeModule
internal import PetalsCore
internal import PetalsStore

extension ShardServer {
    /// What one peer may ask for, and has asked.
    ///
    /// Changed where it lies, in the server's table: a copy would copy its queues at the next
    /// change.
    struct Client {
        let connection: PeerConnection
        var topics: Set<Topic> = []
        /// Blobs behind joined topics, and what the peer was told of each.
        var joined: [Topic: Told] = [:]
        /// The room of this node that it was told.
        var toldRoom: Int?
        private var demand: Deque<ControlMessage.LeafRequest> = []
        private var bulk: Deque<ControlMessage.LeafRequest> = []
        /// The last requests that were answered, for a peer that complains of one.
        private(set) var answered: Deque<ControlMessage.LeafRequest> = []
        /// Bytes of the requests above, and of those being read or sent.
        var owedBytes = 0
        /// Bytes handed to the channel that have not left it.
        var sendingBytes = 0
        /// Bytes of documents and cell layers handed to the channel that have not left it.
        var documentBytes = 0
        var drain = DrainRate()
        private var isPumping = false

        /// Bytes that may wait in a channel before the next request is looked at.
        private static let sendingBytesMax = 1 << 20

        init(connection: PeerConnection) {
            self.connection = connection
        }

        /// Puts a request into its queue; false where that is over a limit.
        mutating func admit(_ request: ControlMessage.LeafRequest, bytes: Int) -> Bool {
            guard demand.count + bulk.count < Limits.requestsPerPeerMax,
                owedBytes + bytes <= Limits.requestedBytesPerPeerMax
            else { return false }
            owedBytes += bytes
            if request.bulk { bulk.append(request) } else { demand.append(request) }
            return true
        }

        /// Takes a request out of its queue, if it is still there.
        mutating func cancel(_ request: UInt32) {
            for queue in [\Client.demand, \Client.bulk] {
                for gone in self[keyPath: queue] where gone.request == request {
                    owedBytes -= gone.leaves.count * Limits.leafBytes
                }
                self[keyPath: queue].removeAll { $0.request == request }
            }
        }

        /// Whether a worker should begin now; there is never more than one.
        mutating func startPumping() -> Bool {
            guard !isPumping, sendingBytes < Self.sendingBytesMax,
                !demand.isEmpty || !bulk.isEmpty
            else { return false }
            isPumping = true
            return true
        }

        /// The next request for the worker; nil, and the worker's end, when there is none or enough
        /// is on its way.
        mutating func next() -> ControlMessage.LeafRequest? {
            guard sendingBytes < Self.sendingBytesMax,
                let request = demand.popFirst() ?? bulk.popFirst()
            else {
                isPumping = false
                return nil
            }
            if answered.count == Limits.requestsPerPeerMax { answered.removeFirst() }
            answered.append(request)
            return request
        }
    }

    /// What a peer was told of a blob.
    struct Told {
        let blob: StoredBlob
        var changes: Int?
        var shards: [ShardIndex: CellBitmap] = [:]
        /// What it was told that this node keeps, and the blob's changes by then.
        var pledged: Set<ShardIndex> = []
        var pledgeChanges: Int?
    }
}
