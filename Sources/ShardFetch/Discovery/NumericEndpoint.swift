/// An IP address and a port, as the DHT has them.
package struct NumericEndpoint: Hashable, Sendable {
    /// The bytes of its packed form: an IPv6 address (IPv4 as ::ffff:a.b.c.d) and a port.
    static let byteCount = 18

    package let address: IPAddress
    package let port: UInt16

    /// An address and a port.
    package init(_ address: IPAddress, port: UInt16) {
        self.address = address
        self.port = port
    }

    /// Reads the packed form; nil for any other number of bytes.
    init?(packed bytes: some Collection<UInt8>) {
        guard bytes.count == Self.byteCount, let address = IPAddress(bytes.prefix(16)) else {
            return nil
        }
        self.address = address
        port = bytes.dropFirst(16).reduce(0) { $0 << 8 | UInt16($1) }
    }

    /// An endpoint that a person wrote with a numeric address; nil for one with a name.
    init?(_ endpoint: SocketEndpoint) {
        guard let port = UInt16(exactly: endpoint.port),
            let address = IPAddress(parsing: endpoint.host)
        else { return nil }
        self.init(address, port: port)
    }

    /// The packed form.
    var packed: [UInt8] {
        let isShort = address.bytes.count == 4
        let mapping = isShort ? [UInt8](repeating: 0, count: 10) + [0xff, 0xff] : []
        return mapping + address.bytes + [UInt8(port >> 8), UInt8(port & 0xff)]
    }

    /// The endpoint in the form that is dialled.
    package var socketEndpoint: SocketEndpoint { SocketEndpoint(address, port: Int(port)) }
}
