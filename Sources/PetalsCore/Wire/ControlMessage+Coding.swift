internal import Foundation

extension ControlMessage {
    /// Reads a control message.
    ///
    /// - Throws: `PetalsError.corrupt`, `.limitExceeded` or `.unsupportedVersion`; the peer that
    ///   sent it is then not one of ours.
    package init(parsing bytes: [UInt8]) throws(PetalsError) {
        let message = try parseMessage(
            PBControl.self, from: bytes, what: "a control message",
            bytesMax: Limits.controlBytesMax)
        switch message.message {
        case .hello(let hello): self = .hello(try Hello(message: hello))
        case .join(let join): self = .join(try Topic(field: join.topic))
        case .leave(let leave): self = .leave(try Topic(field: leave.topic))
        case .holdings(let holdings):
            self = .holdings(
                try Topic(field: holdings.topic),
                holdings.shards.map { shard in
                    ShardHolding(
                        shard: ShardIndex(Int(shard.shard)),
                        cells: shard.complete ? nil : Array(shard.cells))
                })
        case .getDocument(let get):
            self = .getDocument(
                request: get.request,
                digest: try Digest(field: get.digest, what: "a requested digest"))
        case .getRecord(let get):
            self = .getRecord(
                request: get.request,
                sha256: try Digest(field: get.sha256, what: "a requested SHA-256"))
        case .getCellLayer(let get):
            self = .getCellLayer(
                request: get.request, topic: try Topic(field: get.topic),
                shard: ShardIndex(Int(get.shard)))
        case .request(let request): self = .request(try LeafRequest(message: request))
        case .cancel(let cancel): self = .cancel(request: cancel.request)
        case .refuse(let refuse):
            self = .refuse(
                request: refuse.request,
                Refusal(rawValue: UInt32(clamping: refuse.reason.rawValue)) ?? .unspecified)
        case .damaged(let damaged): self = .damaged(request: damaged.request)
        case .peerExchange(let exchange): self = .peerExchange(try Self.peers(exchange))
        case .pledges(let pledges): self = try Self.pledges(pledges)
        case .followCatalogues(let follow): self = .followCatalogues(try Self.topics(follow))
        case .catalogueNews(let news):
            guard news.head.count <= Limits.catalogueHeadBytesMax else {
                throw PetalsError(.limitExceeded, "a peer tells of a catalogue's head at length")
            }
            self = .catalogueNews(try Topic(field: news.topic), Array(news.head))
        case .receipt(let receipt): self = .receipt(try SignedReceipt(message: receipt))
        case .balance(let balance): self = .balance(try CreditBalance(message: balance))
        case .assign(let assign): self = try Self.assign(assign)
        case .assignAck(let reply): self = try Self.assignReply(reply)
        case .terms(let terms): self = .terms(try CreditTerms(message: terms))
        case .ping(let ping): self = .ping(ping.token)
        case .pong(let pong): self = .pong(pong.token)
        case nil: self = .unknown
        }
    }

    private static func peers(
        _ exchange: PBPeerExchange
    ) throws(PetalsError) -> [ExchangedPeer] {
        guard exchange.peers.count <= Limits.exchangedPeersMax else {
            throw PetalsError(
                .limitExceeded, "a peer tells of \(exchange.peers.count) others at once")
        }
        var peers: [ExchangedPeer] = []
        for peer in exchange.peers { peers.append(try ExchangedPeer(message: peer)) }
        return peers
    }

    private static func topics(_ follow: PBFollowCatalogues) throws(PetalsError) -> [Topic] {
        guard follow.topics.count <= Limits.cataloguesMax else {
            throw PetalsError(.limitExceeded, "a peer follows \(follow.topics.count) catalogues")
        }
        var topics: [Topic] = []
        for topic in follow.topics { topics.append(try Topic(field: topic)) }
        return topics
    }

    /// The bytes of a control frame's body.
    package func serialized() -> [UInt8] {
        var message = PBControl()
        switch self {
        case .hello(let hello): message.hello = hello.message
        case .join(let topic): message.join.topic = Data(topic.bytes)
        case .leave(let topic): message.leave.topic = Data(topic.bytes)
        case .holdings(let topic, let shards):
            message.holdings.topic = Data(topic.bytes)
            message.holdings.shards = shards.map { shard in
                var holding = PBShardHolding()
                holding.shard = UInt32(clamping: shard.shard.rawValue)
                holding.complete = shard.cells == nil
                holding.cells = Data(shard.cells ?? [])
                return holding
            }
        case .getDocument(let request, let digest):
            message.getDocument.request = request
            message.getDocument.digest = digest.field
        case .getRecord(let request, let sha256):
            message.getRecord.request = request
            message.getRecord.sha256 = sha256.field
        case .getCellLayer(let request, let topic, let shard):
            message.getCellLayer.request = request
            message.getCellLayer.topic = Data(topic.bytes)
            message.getCellLayer.shard = UInt32(clamping: shard.rawValue)
        case .request(let request): message.request = request.message
        case .cancel(let request): message.cancel.request = request
        case .refuse(let request, let refusal):
            message.refuse.request = request
            message.refuse.reason = PBRefusal(rawValue: Int(refusal.rawValue)) ?? .unspecified
        case .damaged(let request): message.damaged.request = request
        case .peerExchange(let peers): message.peerExchange.peers = peers.map(\.message)
        case .pledges(let pledges, let room):
            message.pledges.pledges = pledges.map(\.message)
            if let room { message.pledges.room = UInt64(clamping: room) }
        case .followCatalogues(let topics):
            message.followCatalogues.topics = topics.map { Data($0.bytes) }
        case .catalogueNews(let topic, let head):
            message.catalogueNews.topic = Data(topic.bytes)
            message.catalogueNews.head = Data(head)
        case .receipt(let receipt): message.receipt = receipt.message
        case .balance(let balance): message.balance = balance.message
        case .assign(let signed): message.assign = signed.statement.message(signed)
        case .askAssignment(let assignment): message.assign = assignment.message(nil)
        case .assignReply(let signed): message.assignAck = signed.message
        case .terms(let terms): message.terms = terms.message
        case .ping(let token): message.ping.token = token
        case .pong(let token): message.pong.token = token
        case .unknown: break
        }
        return serializeMessage(message)
    }
}

extension Topic {
    init(field: Data) throws(PetalsError) {
        guard let topic = Topic(field) else {
            throw PetalsError(
                .corrupt, "a topic has \(field.count) bytes instead of \(Topic.byteCount)")
        }
        self = topic
    }
}

extension ControlMessage.Hello {
    init(message: PBHello) throws(PetalsError) {
        try requireVersion(message.version, what: "a peer")
        guard message.agent.utf8.count <= Limits.peerTextBytesMax else {
            throw PetalsError(.limitExceeded, "a peer's agent name is too long")
        }
        agent = ModelPath.printable(message.agent)
        requestsMax = Int(clamping: message.requestsMax)
        requestedBytesMax = Int(clamping: message.requestedBytesMax)
        listenPort = Int(clamping: message.listenPort)
        guard listenPort <= UInt16.max else {
            throw PetalsError(.corrupt, "a peer says that it listens on port \(listenPort)")
        }
    }

    var message: PBHello {
        var message = PBHello()
        message.version = 1
        message.agent = agent
        message.requestsMax = UInt32(clamping: requestsMax)
        message.requestedBytesMax = UInt32(clamping: requestedBytesMax)
        message.listenPort = UInt32(clamping: listenPort)
        return message
    }
}

extension ControlMessage.ExchangedPeer {
    init(message: PBExchangedPeer) throws(PetalsError) {
        address = Array(message.address)
        guard address.count == 4 || address.count == 16,
            (1...UInt32(UInt16.max)).contains(message.port),
            (1...Limits.exchangedTopicsMax).contains(message.topics.count)
        else { throw PetalsError(.corrupt, "a peer tells of an address that is none") }
        port = Int(message.port)
        var topics: [Topic] = []
        for topic in message.topics { topics.append(try Topic(field: topic)) }
        self.topics = topics
    }

    var message: PBExchangedPeer {
        var message = PBExchangedPeer()
        message.address = Data(address)
        message.port = UInt32(clamping: port)
        message.topics = topics.map { Data($0.bytes) }
        return message
    }
}

extension ControlMessage.LeafRequest {
    init(message: PBRequest) throws(PetalsError) {
        let first = Int(message.firstLeaf)
        let count = Int(message.leafCount)
        guard first < Limits.leavesPerCell, count >= 1, count <= Limits.leavesPerCell - first else {
            throw PetalsError(.corrupt, "a request names leaves that no cell has")
        }
        request = message.request
        topic = try Topic(field: message.topic)
        address = CellAddress(
            shard: ShardIndex(Int(message.shard)), cell: CellIndex(Int(message.cell)))
        leaves = first..<first + count
        bulk = message.bulk
        price = message.hasPrice ? Int(message.price) : nil
        guard (0...CreditTerms.highestPrice).contains(price ?? 0) else {
            throw PetalsError(.corrupt, "a request offers more than any price")
        }
    }

    var message: PBRequest {
        var message = PBRequest()
        message.request = request
        message.topic = Data(topic.bytes)
        message.shard = UInt32(clamping: address.shard.rawValue)
        message.cell = UInt32(clamping: address.cell.rawValue)
        message.firstLeaf = UInt32(clamping: leaves.lowerBound)
        message.leafCount = UInt32(clamping: leaves.count)
        message.bulk = bulk
        if let price { message.price = UInt32(clamping: price) }
        return message
    }
}
