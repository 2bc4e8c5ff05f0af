/// What a person passes on so that others can follow a catalogue: `petals:c1:`, the owner's public
/// key, and hints.
package struct CatalogueLink: Hashable, Sendable, CustomStringConvertible {
    package let id: CatalogueID
    /// What the link calls it; the catalogue's own title counts.
    package let name: String?
    /// Addresses where somebody may have it, `HOST:PORT`.
    package let peers: [String]

    package init(id: CatalogueID, name: String? = nil, peers: [String] = []) {
        self.id = id
        self.name = name
        self.peers = peers
    }

    private static let prefix = LinkKind.catalogue.rawValue

    /// Whether a text is meant to be a link of a catalogue, well-formed or not.
    package static func isMeant(by text: String) -> Bool {
        LinkKind(of: text) == .catalogue
    }

    /// Reads a link as a person pasted it; white space around it is no part of it.
    ///
    /// - Throws: `PetalsError.badInput` saying what is wrong.
    package init(parsing text: String) throws(PetalsError) {
        let link = LinkHints.trimmed(text)
        guard link.hasPrefix(Self.prefix) else {
            throw LinkKind.refusal(
                of: link,
                wanted: "this is not the link of a catalogue; it begins with \(Self.prefix), as "
                    + "`petalsfs catalog create` prints it")
        }
        let rest = link.dropFirst(Self.prefix.count)
        let body = rest.prefix { $0 != "?" }
        let bytes = try LinkBody.bytes(of: body, kind: Self.prefix, count: Digest.byteCount)
        guard let id = Digest(bytes) else {
            throw PetalsError(.badInput, "the link has a wrong length; copy it again")
        }
        self.id = id
        (name, peers) = try LinkHints.parse(rest.dropFirst(body.count + 1))
    }

    /// The link without its hints.
    package var core: String { Self.prefix + LinkBody.text(id.bytes, kind: Self.prefix) }

    /// The whole link.
    package var text: String { LinkHints.append(to: core, name: name, peers: peers) }

    package var description: String { core }
}

extension SignedDelegation {
    private static let prefix = LinkKind.delegation.rawValue

    /// Reads a delegation as `petalsfs catalog delegate` prints it.
    ///
    /// - Throws: `PetalsError.badInput` where it is none; `.corrupt` where a field is wrong.
    package init(parsingText text: String) throws(PetalsError) {
        let trimmed = LinkHints.trimmed(text)
        if let kind = LinkKind(of: trimmed), kind != .delegation {
            throw PetalsError(.badInput, kind.advice)
        }
        guard trimmed.hasPrefix(Self.prefix),
            let bytes = Base32.decode(trimmed.dropFirst(Self.prefix.count))
        else {
            throw PetalsError(
                .badInput,
                "this is no delegation; one begins with \(Self.prefix), as `petalsfs catalog "
                    + "delegate` prints it: copy it again")
        }
        try self.init(parsing: bytes)
    }

    /// The delegation for a person to carry to the node that is to sign; no secret.
    package var text: String { Self.prefix + Base32.encode(serialized()) }
}
