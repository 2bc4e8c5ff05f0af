internal import Glibc
internal import NIOCore

/// A numeric IP address, and what kind of place it names.
///
/// An IPv4 address that comes wrapped in IPv6 (`::ffff:192.0.2.1`) is the IPv4 address: rules about
/// addresses must not depend on how somebody chose to spell one.
package struct IPAddress: Hashable, Sendable, CustomStringConvertible {
    /// How far an address reaches, by the IANA registries of special-purpose addresses.
    package enum Scope: Sendable, CaseIterable {
        /// The whole Internet.
        case global
        /// This machine.
        case loopback
        /// Some network of its own: RFC 1918, RFC 4193, shared (RFC 6598), documentation, tests.
        case local
        /// Nobody that can be dialled: multicast, broadcast, unspecified, reserved.
        case unusable
    }

    /// 4 or 16 bytes, in network order.
    package let bytes: [UInt8]

    private static let wrapped: [UInt8] = Array(repeating: 0, count: 10) + [0xff, 0xff]

    /// Builds an address of 4 or 16 bytes; nil for any other number.
    package init?(_ bytes: some Collection<UInt8>) {
        let all = Array(bytes)
        switch all.count {
        case 4: self.bytes = all
        case 16: self.bytes = all.starts(with: Self.wrapped) ? Array(all.suffix(4)) : all
        default: return nil
        }
    }

    /// Reads an address in its usual text form; nil for a name, and for one with a zone.
    package init?(parsing text: String) {
        for (family, count) in [(AF_INET, 4), (AF_INET6, 16)] {
            var found = [UInt8](repeating: 0, count: count)
            // SAFETY: inet_pton(3) writes as many bytes as an address of the family has, which the
            // array has, and reads a string that lives through the call.
            if unsafe inet_pton(family, text, &found) == 1 {
                self.init(found)
                return
            }
        }
        return nil
    }

    /// The address of a socket; nil for one of another family.
    init?(_ address: SocketAddress) {
        // As text and not from its fields: those belong to whichever C module was loaded first.
        guard let text = address.ipAddress else { return nil }
        self.init(parsing: text)
    }

    package var description: String {
        guard bytes.count > 4 else { return bytes.map(String.init).joined(separator: ".") }
        let packed = ByteBuffer(bytes: bytes)
        // Sixteen bytes always are an address.
        return (try? SocketAddress(packedIPAddress: packed, port: 0))?.ipAddress ?? "nowhere"
    }

    /// How far the address reaches.
    package var scope: Scope { bytes.count == 4 ? scopeOfFour : scopeOfSixteen }

    private var scopeOfFour: Scope {
        switch (bytes[0], bytes[1], bytes[2]) {
        case (127, _, _): .loopback
        case (10, _, _), (172, 16...31, _), (192, 168, _), (100, 64...127, _): .local
        case (169, 254, _): .local
        // Documentation and benchmarks: some closed networks use them.
        case (192, 0, 2), (198, 51, 100), (203, 0, 113), (198, 18...19, _): .local
        case (0, _, _), (192, 0, 0), (224..., _, _): .unusable
        default: .global
        }
    }

    private var scopeOfSixteen: Scope {
        let isLow = bytes.prefix(15).allSatisfy { $0 == 0 }
        if isLow { return bytes[15] == 1 ? .loopback : .unusable }
        switch (bytes[0], bytes[1], bytes[2], bytes[3]) {
        case (0xfc...0xfd, _, _, _), (0x20, 0x01, 0x0d, 0xb8): return .local
        // NAT64 (RFC 6052) and 6to4 lead to the IPv4 address inside.
        case (0x00, 0x64, 0xff, 0x9b) where bytes[4..<12].allSatisfy { $0 == 0 }:
            return Self.inner(bytes[12...])
        case (0x20, 0x02, _, _): return Self.inner(bytes[2..<6])
        // Teredo hides the address that it leads to.
        case (0x20, 0x01, 0x00, 0x00): return .unusable
        case (0x20...0x3f, _, _, _): return .global
        // What is left is multicast, link-local, which needs a zone, or not assigned.
        default: return .unusable
        }
    }

    private static func inner(_ bytes: ArraySlice<UInt8>) -> Scope {
        IPAddress(bytes)?.scope == .global ? .global : .unusable
    }
}

/// All addresses that begin with the same bits.
package struct IPNetwork: Hashable, Sendable {
    package let address: IPAddress
    package let prefixBits: Int

    /// Builds the network of an address; nil where the address has fewer bits.
    package init?(_ address: IPAddress, prefixBits: Int) {
        guard (0...8 * address.bytes.count).contains(prefixBits) else { return nil }
        self.address = address
        self.prefixBits = prefixBits
    }

    /// The network of an interface's address and netmask; nil where they do not belong together.
    package init?(_ address: IPAddress, netmask: IPAddress) {
        guard address.bytes.count == netmask.bytes.count else { return nil }
        let ones = netmask.bytes.reduce(0) { $0 + $1.nonzeroBitCount }
        self.init(address, prefixBits: ones)
    }

    /// Whether an address lies in it.
    package func contains(_ other: IPAddress) -> Bool {
        guard other.bytes.count == address.bytes.count else { return false }
        return zip(address.bytes, other.bytes).enumerated().allSatisfy { index, pair in
            let bits = min(max(prefixBits - 8 * index, 0), 8)
            return (pair.0 ^ pair.1) >> (8 - bits) == 0
        }
    }
}
