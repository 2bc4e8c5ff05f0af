internal import PetalsCore
internal import ShardFetch

/// Where each node can be dialled: one address of the public Internet for each.
struct AddressBook {
    private static let port = 7700
    private var numbers: [SocketEndpoint: Int] = [:]
    private var endpoints: [SocketEndpoint] = []
    private var addresses: [IPAddress] = []

    /// The address of a node: 60.0.0.0 and on, where all addresses are global.
    private static func bytes(_ number: Int) -> [UInt8] {
        [
            60 + UInt8(number >> 24), UInt8(number >> 16 & 255), UInt8(number >> 8 & 255),
            UInt8(number & 255),
        ]
    }

    static func packed(_ number: Int) -> NumericEndpoint {
        // Four bytes always are an address.
        guard let address = IPAddress(bytes(number)) else { preconditionFailure("4 bytes") }
        return NumericEndpoint(address, port: UInt16(port))
    }

    static func unpacked(_ endpoint: NumericEndpoint) -> Int {
        endpoint.address.bytes.reduce(0) { $0 << 8 | Int($1) } - (60 << 24)
    }

    static func topic(_ number: UInt64) -> Topic {
        let bytes = Digest(words: (number, number &* 0x9e37_79b9_7f4a_7c15, 0, 0)).bytes
        // Twenty bytes always are a topic.
        guard let topic = Topic(bytes.prefix(Topic.byteCount)) else { preconditionFailure("20") }
        return topic
    }

    /// Gives the next node its address; nodes are added in the order of their numbers.
    mutating func add(_ number: Int) {
        precondition(number == endpoints.count)
        let packed = Self.packed(number)
        addresses.append(packed.address)
        endpoints.append(packed.socketEndpoint)
        numbers[packed.socketEndpoint] = number
    }

    func endpoint(of number: Int) -> SocketEndpoint { endpoints[number] }
    func address(of number: Int) -> IPAddress { addresses[number] }
    func node(at endpoint: SocketEndpoint) -> Int? { numbers[endpoint] }

    func peerID(of number: Int) -> PeerID { Self.peerID(number) }

    static func peerID(_ number: Int) -> PeerID {
        var mixed = UInt64(number) &* 0x9e37_79b9_7f4a_7c15
        mixed = (mixed ^ mixed >> 30) &* 0xbf58_476d_1ce4_e5b9
        return Digest(words: (mixed, UInt64(number), 0, 0))
    }
}
