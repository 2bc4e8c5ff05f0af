internal import PetalsCore

/// What the DHT node behind CRendezvous tells.
enum RendezvousEvent: Hashable, Sendable {
    /// A UDP socket is open.
    case listening(NumericEndpoint)
    /// A socket could not be opened.
    case listenFailed(String)
    /// What one node says of a topic.
    case peers(Topic, [NumericEndpoint])
    /// So many nodes are known.
    case nodes(Int)
    /// A router forwards this port of its own.
    case portMapped(Int)
    /// A router was found and does not forward.
    case portFailed(String)
    /// Others see this node at this address; the port says nothing.
    case externalAddress(NumericEndpoint)
    /// A mutable item, whose signature was verified.
    case item(MutableItem)

    /// Reads the fields of a `petals_dht_event`; nil where they are not one.
    ///
    /// Peers and texts come from the network: libtorrent has parsed them, and nothing here relies
    /// on how well. Leftover bytes of a list of peers are dropped.
    init?(kind: Int32, number: Int64, topic: [UInt8], bytes: [UInt8]) {
        switch kind {
        case 1:
            guard let endpoint = NumericEndpoint(packed: bytes) else { return nil }
            self = .listening(endpoint)
        case 2: self = .listenFailed(Self.text(bytes))
        case 3:
            guard let topic = Topic(topic) else { return nil }
            let size = NumericEndpoint.byteCount
            self = .peers(
                topic,
                stride(from: 0, through: bytes.count - size, by: size).compactMap {
                    NumericEndpoint(packed: bytes[$0..<$0 + size])
                })
        case 4: self = .nodes(max(0, Int(number)))
        case 5:
            guard (1...65535).contains(number) else { return nil }
            self = .portMapped(Int(number))
        case 6: self = .portFailed(Self.text(bytes))
        case 7:
            guard let endpoint = NumericEndpoint(packed: bytes) else { return nil }
            self = .externalAddress(endpoint)
        case 8:
            guard let item = MutableItem(packed: bytes, saltCount: number) else { return nil }
            self = .item(item)
        default: return nil
        }
    }

    private static func text(_ bytes: [UInt8]) -> String {
        let text = String(decoding: bytes.prefix(Limits.peerTextBytesMax), as: UTF8.self)
        return ModelPath.printable(text)
    }
}

extension MutableItem {
    /// Reads what CRendezvous packs; nil where bytes are missing.
    init?(packed bytes: [UInt8], saltCount: Int64) {
        let fixed = 32 + 64 + 8
        guard let saltCount = Int(exactly: saltCount), (0...64).contains(saltCount),
            bytes.count > fixed + saltCount
        else { return nil }
        self.init(
            key: Array(bytes[..<32]), signature: Array(bytes[32..<96]),
            sequence: bytes[96..<fixed].reduce(0) { $0 << 8 | Int64($1) },
            salt: Array(bytes[fixed..<fixed + saltCount]),
            value: Array(bytes[(fixed + saltCount)...]))
    }
}
