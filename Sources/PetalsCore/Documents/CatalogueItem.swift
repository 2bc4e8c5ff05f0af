internal import Foundation

/// A small signed value that whoever knows its key can look up in the DHT (BEP 44).
package struct MutableItem: Hashable, Sendable {
    /// Ed25519, 32 bytes.
    package let key: [UInt8]
    /// Of `signedBytes`, 64 bytes.
    package let signature: [UInt8]
    /// Grows with each version.
    package let sequence: Int64
    /// Tells items of one key apart; at most 64 bytes.
    package let salt: [UInt8]
    /// Bencoded; at most 1000 bytes.
    package let value: [UInt8]

    package init(
        key: [UInt8], signature: [UInt8], sequence: Int64, salt: [UInt8], value: [UInt8]
    ) {
        self.key = key
        self.signature = signature
        self.sequence = sequence
        self.salt = salt
        self.value = value
    }

    /// What the key's owner signs.
    package static func signedBytes(sequence: Int64, salt: [UInt8], value: [UInt8]) -> [UInt8] {
        let saltPart = salt.isEmpty ? [] : Array("4:salt\(salt.count):".utf8) + salt
        return saltPart + Array("3:seqi\(sequence)e1:v".utf8) + value
    }
}

/// What an item of the DHT says of a catalogue: its head, or who signs it.
package enum CatalogueItem: Hashable, Sendable {
    /// Under the signer's key.
    case head(SignedHead)
    /// Under the owner's key: the delegate, under whose key the head is.
    case delegation(SignedDelegation)

    /// Under which the item of a catalogue is found at a key that may sign several.
    package static func salt(_ id: CatalogueID) -> [UInt8] {
        Array("petals/c1".utf8) + id.bytes
    }

    /// Reads an item's value.
    ///
    /// - Throws: `PetalsError.corrupt` where it is none of a catalogue's.
    package init(value: [UInt8]) throws(PetalsError) {
        let message = try parseMessage(
            PBCatalogueItem.self, from: try Self.text(value), what: "a catalogue's item",
            bytesMax: Limits.catalogueHeadBytesMax)
        switch message.content {
        case .head(let head): self = .head(try SignedHead(message: head))
        case .delegation(let delegation):
            self = .delegation(try SignedDelegation(message: delegation))
        case nil: throw PetalsError(.corrupt, "a catalogue's item says nothing")
        }
    }

    /// The value: one bencoded string, without the signature of the item itself.
    package var value: [UInt8] {
        var message = PBCatalogueItem()
        switch self {
        case .head(let head):
            var bare = head
            bare.itemSignature = []
            message.head = bare.message
        case .delegation(let delegation):
            var bare = delegation
            bare.itemSignature = []
            message.delegation = bare.message
        }
        let text = serializeMessage(message)
        return Array("\(text.count):".utf8) + text
    }

    /// The catalogue that it claims to be about.
    package var owner: CatalogueID {
        switch self {
        case .head(let head): head.head.owner
        case .delegation(let delegation): delegation.delegation.owner
        }
    }

    /// The key under which it is stored.
    package var key: Digest {
        switch self {
        case .head(let head): head.signer
        case .delegation(let delegation): delegation.delegation.owner
        }
    }

    /// Rises with issue and sequence: issue x 2^24 + sequence; a delegation counts as sequence 0.
    ///
    /// A sequence has 24 bits by far, and 2^38 seconds are 8,000 years; an issue above counts as
    /// that.
    package var sequence: Int64 {
        switch self {
        case .head(let head): Self.sequence(head.head.issue, head.head.sequence)
        case .delegation(let delegation): Self.sequence(delegation.delegation.issue, 0)
        }
    }

    private static func sequence(_ issue: Int, _ sequence: Int) -> Int64 {
        Int64(min(issue, 1 << 38)) << 24 | Int64(sequence)
    }

    /// The bytes that the key signs.
    package var signedBytes: [UInt8] {
        MutableItem.signedBytes(sequence: sequence, salt: Self.salt(owner), value: value)
    }

    /// The item with its signature; nil where it carries none.
    package var item: MutableItem? {
        let signature =
            switch self {
            case .head(let head): head.itemSignature
            case .delegation(let delegation): delegation.itemSignature
            }
        guard signature.count == 64 else { return nil }
        return MutableItem(
            key: key.bytes, signature: signature, sequence: sequence, salt: Self.salt(owner),
            value: value)
    }

    /// The bytes of a bencoded string that is all there is.
    private static func text(_ value: [UInt8]) throws(PetalsError) -> [UInt8] {
        let digits = value.prefix { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
        guard (1...4).contains(digits.count),
            let count = Int(String(decoding: digits, as: UTF8.self)),
            value.dropFirst(digits.count).first == UInt8(ascii: ":"),
            value.count == digits.count + 1 + count
        else { throw PetalsError(.corrupt, "a catalogue's item is no text") }
        return Array(value.suffix(count))
    }
}
