internal import NIOCore
package import PetalsCore

/// A `HOST:PORT` that a person wrote.
package struct SocketEndpoint: Hashable, Sendable, CustomStringConvertible {
    package let host: String
    package let port: Int

    /// Reads `127.0.0.1:7700`, `example.org:7700`, `[::1]:7700`.
    ///
    /// - Throws: `PetalsError.badInput` saying what an address looks like.
    package init(parsing text: String) throws(PetalsError) {
        let colon = text.lastIndex(of: ":")
        var host = String(text[..<(colon ?? text.startIndex)])
        if host.hasPrefix("["), host.hasSuffix("]") { host = String(host.dropFirst().dropLast()) }
        guard let colon, !host.isEmpty, let port = Int(text[text.index(after: colon)...]),
            (0...65535).contains(port)
        else {
            throw PetalsError(
                .badInput,
                "“\(ModelPath.printable(text))” is not an address; write HOST:PORT, for example "
                    + "127.0.0.1:7700 or [::1]:7700")
        }
        self.host = host
        self.port = port
    }

    /// An address and a port.
    package init(_ address: IPAddress, port: Int) {
        host = address.description
        self.port = port
    }

    package var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }

    /// `HOST:PORT` of a socket's address.
    static func text(_ address: SocketAddress) -> String {
        let host = address.ipAddress ?? "unix"
        let port = address.port ?? 0
        return host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
    }

    /// The part of an address that one operator usually controls: IPv4 /24 or IPv6 /48.
    ///
    /// nil for loopback: everything there is one machine anyway.
    static func network(_ address: SocketAddress) -> String? {
        guard let address = IPAddress(address), address.scope != .loopback else { return nil }
        let count = address.bytes.count == 4 ? 3 : 6
        return address.bytes.prefix(count).map(String.init).joined(separator: ".")
    }
}
