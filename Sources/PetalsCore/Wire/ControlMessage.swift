internal import Foundation

/// A control message, checked against what the format alone can say.
///
/// Whether a shard or a cell exists depends on the blob, which the receiver knows and this room
/// does not: it checks with `BlobGeometry.contains`.
package enum ControlMessage: Hashable, Sendable {
    case hello(Hello)
    case join(Topic)
    case leave(Topic)
    case holdings(Topic, [ShardHolding])
    case getDocument(request: UInt32, digest: Digest)
    /// Asks for the record of a public file by the SHA-256 of its plaintext.
    case getRecord(request: UInt32, sha256: Digest)
    case getCellLayer(request: UInt32, topic: Topic, shard: ShardIndex)
    case request(LeafRequest)
    case cancel(request: UInt32)
    case refuse(request: UInt32, Refusal)
    /// What came for a request does not match the tree: the holder should look at its copy.
    case damaged(request: UInt32)
    /// Peers of topics that the receiver joined.
    case peerExchange([ExchangedPeer])
    /// What the sender keeps of joined topics; and, of a donor, how many bytes it has left.
    case pledges([Pledge], room: Int?)
    /// The catalogues of which the sender wants to hear; replaces what it said before.
    case followCatalogues([Topic])
    /// The newest signed head of a catalogue that the receiver follows, by the topic it named.
    ///
    /// As it came, since one of a later version ends no connection.
    case catalogueNews(Topic, [UInt8])
    /// What the sender has received of the receiver in all, and owes.
    ///
    /// Apart in memory, as the other statements: they are long and rare, and each message would
    /// have their size.
    indirect case receipt(SignedReceipt)
    /// What the sender's books say of the receiver.
    indirect case balance(CreditBalance)
    /// A creditor of the receiver gives its claim to a third.
    indirect case assign(SignedAssignment)
    /// The sender would like an assignment as this, from the receiver; nobody has signed it.
    indirect case askAssignment(Assignment)
    /// What became of an assignment.
    indirect case assignReply(SignedAssignmentReply)
    /// What the sender asks for what it sends.
    indirect case terms(CreditTerms)
    case ping(UInt64)
    case pong(UInt64)
    /// A message of a later version: to be skipped.
    case unknown

    /// The first message of each side.
    package struct Hello: Hashable, Sendable {
        package var agent: String
        /// Requests that may wait at the sender of this message.
        package var requestsMax: Int
        /// Bytes that may be asked of the sender of this message and not be answered yet.
        package var requestedBytesMax: Int
        /// Where the sender can be dialled at the address that it has for the receiver; 0: nowhere.
        package var listenPort: Int

        package init(
            agent: String, requestsMax: Int, requestedBytesMax: Int, listenPort: Int = 0
        ) {
            self.agent = agent
            self.requestsMax = requestsMax
            self.requestedBytesMax = requestedBytesMax
            self.listenPort = listenPort
        }
    }

    /// What a peer holds of one shard.
    package struct ShardHolding: Hashable, Sendable {
        package let shard: ShardIndex
        /// nil: all of it.
        package let cells: [UInt8]?

        package init(shard: ShardIndex, cells: [UInt8]?) {
            self.shard = shard
            self.cells = cells
        }
    }

    /// Asks for neighbouring leaves of one cell.
    package struct LeafRequest: Hashable, Sendable {
        package let request: UInt32
        package let topic: Topic
        package let address: CellAddress
        /// In the cell; never empty, within 0..<16.
        package let leaves: Range<Int>
        /// No read waits for it.
        package let bulk: Bool
        /// Mills for 1 KiB that the sender pays, at most `CreditTerms.highestPrice`; 0: nothing,
        /// for what is sent while nobody else wants any; nil: what the receiver's terms say.
        package let price: Int?

        package init(
            request: UInt32, topic: Topic, address: CellAddress, leaves: Range<Int>, bulk: Bool,
            price: Int? = nil
        ) {
            self.request = request
            self.topic = topic
            self.address = address
            self.leaves = leaves
            self.bulk = bulk
            self.price = price
        }
    }

    /// Where a peer of some topics may be dialled.
    package struct ExchangedPeer: Hashable, Sendable {
        /// 4 or 16 bytes.
        package let address: [UInt8]
        /// 1 to 65,535.
        package let port: Int
        /// At least one, at most `Limits.exchangedTopicsMax`.
        package let topics: [Topic]

        package init(address: [UInt8], port: Int, topics: [Topic]) {
            self.address = address
            self.port = port
            self.topics = topics
        }
    }

    /// Changes of what a peer keeps of a blob, or gets in order to keep it.
    package struct Pledge: Hashable, Sendable {
        package let topic: Topic
        package let kept: [ShardIndex]
        package let dropped: [ShardIndex]

        package init(topic: Topic, kept: [ShardIndex], dropped: [ShardIndex]) {
            self.topic = topic
            self.kept = kept
            self.dropped = dropped
        }
    }

    /// Why a request is not answered.
    package enum Refusal: UInt32, Hashable, Sendable, CaseIterable {
        /// A reason of a later version.
        case unspecified = 0
        /// No such topic, document or shard here.
        case unknown = 1
        /// These leaves are not here, or not any more.
        case notHeld = 2
        /// Over a limit; ask again later or elsewhere.
        case busy = 3
        /// Outside the blob.
        case badRequest = 4
        /// This node's copy is damaged.
        case broken = 5
    }
}
