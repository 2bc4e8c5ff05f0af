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
        /// Whether what it asks for waits until it has signed for what it had.
        var isUnpaid = false

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
        mutating func startPumping(_ pace: Pace) -> Bool {
            guard !isPumping, sendingBytes < Self.sendingBytesMax, isFree(pace) else {
                return false
            }
            isPumping = true
            return true
        }

        /// The next request for the worker; nil, and the worker's end, when there is none that
        /// need not wait for a turn, or enough is on its way.
        mutating func next(_ pace: Pace) -> ControlMessage.LeafRequest? {
            guard sendingBytes < Self.sendingBytesMax, isFree(pace),
                let request = demand.popFirst() ?? bulk.popFirst()
            else {
                isPumping = false
                return nil
            }
            note(request)
            return request
        }

        /// Puts what is left of a request back where it was; with nothing granted, all of the
        /// peer's requests wait until it has signed.
        mutating func putBack(_ request: ControlMessage.LeafRequest, isUnpaid: Bool) {
            if request.bulk { bulk.prepend(request) } else { demand.prepend(request) }
            self.isUnpaid = isUnpaid
        }

        /// The worker ends, unless there is room after all.
        mutating func endPumping(hasRoom: Bool) {
            isUnpaid = !hasRoom
            isPumping = hasRoom
        }

        private func isFree(_ pace: Pace) -> Bool {
            guard !isUnpaid else { return false }
            return switch pace {
            case .free: !demand.isEmpty || !bulk.isEmpty
            case .bulkWaits: !demand.isEmpty
            case .allWait: false
            }
        }

        /// What waits for a turn: neither class where enough is on its way, or has to be signed for
        /// first.
        func waiting(_ pace: Pace, as standing: CreditStanding) -> UploadPlan.Waiting {
            let mayHave = pace != .free && sendingBytes < Self.sendingBytesMax && !isUnpaid
            let hasDemand = mayHave && pace == .allWait && !demand.isEmpty
            // What is free waits for what is paid for.
            let isFree = (hasDemand ? demand.first : bulk.first)?.price == 0
            let hasBulk = mayHave && !bulk.isEmpty && (!hasDemand || bulk.first?.price != 0)
            return UploadPlan.Waiting(
                connection: connection.id, peer: connection.peerID, hasDemand: hasDemand,
                hasBulk: hasBulk, standing: isFree ? standing.ofFreeRequest : standing)
        }

        /// Takes the first request of a class for a turn, or its first leaves; the rest of it stays
        /// where it is.
        mutating func take(bulk isBulk: Bool, leavesMax: Int) -> ControlMessage.LeafRequest? {
            let queue: WritableKeyPath<Client, Deque<ControlMessage.LeafRequest>> =
                isBulk ? \.bulk : \.demand
            guard let whole = self[keyPath: queue].popFirst() else { return nil }
            note(whole)
            guard whole.leaves.count > leavesMax else { return whole }
            let cut = whole.leaves.lowerBound + leavesMax
            self[keyPath: queue].prepend(whole.with(leaves: cut..<whole.leaves.upperBound))
            return whole.with(leaves: whole.leaves.lowerBound..<cut)
        }

        /// Takes all requests out of their queues.
        mutating func takeAll() -> [ControlMessage.LeafRequest] {
            let all = Array(demand) + Array(bulk)
            demand = []
            bulk = []
            owedBytes -= all.reduce(0) { $0 + $1.leaves.count * Limits.leafBytes }
            return all
        }

        /// Requests that wait.
        var waitingCount: Int { demand.count + bulk.count }

        private mutating func note(_ request: ControlMessage.LeafRequest) {
            // The rest of one that was cut.
            guard answered.last?.request != request.request else { return }
            if answered.count == Limits.requestsPerPeerMax { answered.removeFirst() }
            answered.append(request)
        }
    }

    /// What a peer was told of a blob.
    struct Told {
        let blob: StoredBlob
        var changes: Int?
        /// Whether it was told as by a node that serves.
        var isServing = true
        var shards: [ShardIndex: CellBitmap] = [:]
        /// What it was told that this node keeps, and the blob's changes by then.
        var pledged: Set<ShardIndex> = []
        var pledgeChanges: Int?
    }
}

extension ControlMessage.LeafRequest {
    /// The same for other leaves of the cell.
    func with(leaves: Range<Int>) -> Self {
        Self(
            request: request, topic: topic, address: address, leaves: leaves, bulk: bulk,
            price: price)
    }
}
