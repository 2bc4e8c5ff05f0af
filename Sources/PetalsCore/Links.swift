/// What a person passes on so that others can use a model.
///
/// A read link carries the read key; a relay cap carries the relay key, which is derived from the
/// read key and cannot be turned back. Both name one version of a model by its manifest id.
package struct ModelLink: Hashable, Sendable, CustomStringConvertible {
    /// What the link allows.
    package enum Capability: Hashable, Sendable {
        /// May read the model: `petals:r1:`.
        case read(SecretKey)
        /// May hold, repair and serve the model, and not read it: `petals:v1:`.
        case relay(SecretKey)
    }

    private static let readKind = LinkKind.model.rawValue
    private static let relayKind = LinkKind.relayCap.rawValue

    package let capability: Capability
    package let manifestID: ManifestID
    /// The name that the link suggests.
    package let name: String?
    /// Addresses where somebody may have it, `HOST:PORT`.
    package let peers: [String]

    package init(
        capability: Capability, manifestID: ManifestID, name: String? = nil, peers: [String] = []
    ) {
        self.capability = capability
        self.manifestID = manifestID
        self.name = name
        self.peers = peers
    }

    /// Reads a link as a person pasted it; white space around it is no part of it.
    ///
    /// - Throws: `PetalsError.badInput` saying what is wrong. The text itself is not repeated in
    ///   the error: it may be a secret.
    package init(parsing text: String) throws(PetalsError) {
        let link = LinkHints.trimmed(text)
        let kinds = [Self.readKind, Self.relayKind]
        guard let kind = kinds.first(where: { link.hasPrefix($0) }) else {
            throw LinkKind.refusal(
                of: link,
                wanted: "this is not a petalsfs link; a link begins with petals:r1: (or petals:v1: "
                    + "for a relay cap), as `petalsfs publish` prints it")
        }
        let rest = link.dropFirst(kind.count)
        let body = rest.prefix { $0 != "?" }
        let bytes = try LinkBody.bytes(
            of: body, kind: kind, count: SecretKey.byteCount + Digest.byteCount)
        guard let key = SecretKey(bytes.prefix(SecretKey.byteCount)),
            let manifestID = Digest(bytes.dropFirst(SecretKey.byteCount))
        else { throw PetalsError(.badInput, "the link has a wrong length; copy it again") }
        capability = kind == Self.readKind ? .read(key) : .relay(key)
        self.manifestID = manifestID
        (name, peers) = try LinkHints.parse(rest.dropFirst(body.count + 1))
    }

    /// The link without its hints: what it is registered and compared by.
    package var core: String {
        switch capability {
        case .read(let key): Self.core(Self.readKind, key, manifestID)
        case .relay(let key): Self.core(Self.relayKind, key, manifestID)
        }
    }

    private static func core(_ kind: String, _ key: SecretKey, _ id: ManifestID) -> String {
        kind + LinkBody.text(key.bytes + id.bytes, kind: kind)
    }

    /// The whole link, for the person who may have it.
    package var text: String { LinkHints.append(to: core, name: name, peers: peers) }

    /// The link with its key left out, for logs.
    package var description: String {
        switch capability {
        case .read: "petals:r1:<secret>/\(manifestID.short)"
        case .relay: "petals:v1:<secret>/\(manifestID.short)"
        }
    }
}

/// What follows the `?` of a link: suggestions, on which nothing depends.
enum LinkHints {
    /// A link without the white space around it.
    static func trimmed(_ text: String) -> String {
        let trimmed = String(text.trimmingPrefix(while: \.isWhitespace).reversed())
        return String(trimmed.trimmingPrefix(while: \.isWhitespace).reversed())
    }

    /// Reads hints; unknown ones, and those that do not decode, are skipped.
    ///
    /// - Throws: `PetalsError.badInput` for a name that none can have.
    static func parse(
        _ text: Substring
    ) throws(PetalsError) -> (name: String?, peers: [String]) {
        var name: String?
        var peers: [String] = []
        for item in text.split(separator: "&") {
            let pair = item.split(separator: "=", maxSplits: 1).map { percentDecoded($0) }
            guard pair.count == 2, let value = pair[1] else { continue }
            switch pair[0] {
            case "name":
                try ModelPath.check(component: value)
                name = value
            case "peer":
                peers.append(value)
            default: continue
            }
        }
        return (name, Array(peers.prefix(8)))
    }

    /// A link with its hints.
    static func append(to core: String, name: String?, peers: [String]) -> String {
        let hints =
            (name.map { ["name=" + percentEncoded($0)] } ?? [])
            + peers.map { "peer=" + percentEncoded($0) }
        return hints.isEmpty ? core : core + "?" + hints.joined(separator: "&")
    }

    /// Percent-encodes all but the unreserved characters of RFC 3986 and `:`.
    private static func percentEncoded(_ text: String) -> String {
        let digits: [Character] = Array("0123456789ABCDEF")
        return String(
            text.utf8.flatMap { byte -> [Character] in
                let scalar = Unicode.Scalar(byte)
                let plain =
                    byte < 128
                    && (scalar.properties.isAlphabetic || (48...58).contains(byte)
                        || "-._~".unicodeScalars.contains(scalar))
                return plain
                    ? [Character(scalar)] : ["%", digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            })
    }

    private static func percentDecoded(_ text: Substring) -> String? {
        var bytes: [UInt8] = []
        var rest = text.utf8[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            // Two digits: `UInt8(_:radix:)` alone would take one, or a sign and one.
            let digits = rest.prefix(2)
            guard digits.count == 2, let first = digits.first, !"+-".utf8.contains(first),
                let value = UInt8(String(decoding: digits, as: UTF8.self), radix: 16)
            else { return nil }
            bytes.append(value)
            rest = rest.dropFirst(2)
        }
        return String(validating: bytes, as: UTF8.self)
    }
}
