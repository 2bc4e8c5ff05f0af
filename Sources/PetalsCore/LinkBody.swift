/// The part of a link that counts: bytes in base32, and six characters that tell a wrong letter.
///
/// The six are the checksum of BIP 350 (Bech32m) over the link's kind and its letters: any three
/// wrong letters are noticed, so also two that changed places, and all but one in 2^30 of other
/// damages. Links from before the checksum lack it and are read as they are
/// (docs/decisions/22-checked-links.md).
enum LinkBody {
    /// Characters of the checksum.
    static let checksumLength = 6

    /// Writes a body.
    ///
    /// - Parameter kind: what the link begins with, `petals:r1:` for one.
    static func text(_ bytes: [UInt8], kind: String) -> String {
        let body = Base32.encode(bytes)
        return body + checksum(of: body, kind: kind)
    }

    /// Reads the bytes of a body, with a checksum or from before there were any.
    ///
    /// - Parameter count: how many bytes a link of this kind has.
    /// - Throws: `PetalsError.badInput` saying what is wrong, without repeating what may be secret.
    static func bytes(
        of body: Substring, kind: String, count: Int
    ) throws(PetalsError) -> [UInt8] {
        let bare = (count * 8 + 4) / 5
        let length = body.utf8.count
        guard length == bare + checksumLength || length == bare else {
            throw PetalsError(
                .badInput,
                "the link has \(length) characters after \(kind) instead of "
                    + "\(bare + checksumLength); it seems to be "
                    + "\(length < bare + checksumLength ? "cut off" : "too long"), copy it again")
        }
        guard Base32.values(of: body) != nil else {
            throw PetalsError(
                .badInput,
                "the link contains characters that no link has; copy it again from its source")
        }
        let carried = body.prefix(bare)
        guard
            length == bare
                || checksum(of: carried, kind: kind) == body.dropFirst(bare).lowercased(),
            let bytes = Base32.decode(carried)
        else {
            throw PetalsError(
                .badInput,
                "a letter of the link is wrong: its last \(checksumLength) characters do not "
                    + "belong to the others; copy it again from its source")
        }
        return bytes
    }

    /// The checksum of a body: BIP 350's, with the kind less its colon in the place of the
    /// human-readable part, and base32's own alphabet.
    ///
    /// A character that base32 has not counts as nothing; whoever calls has looked for such.
    static func checksum(of body: some StringProtocol, kind: String) -> String {
        let readable = kind.dropLast(kind.hasSuffix(":") ? 1 : 0).utf8
        var state: UInt32 = 1
        for byte in readable { mix(byte >> 5, into: &state) }
        mix(0, into: &state)
        for byte in readable { mix(byte & 31, into: &state) }
        for value in Base32.values(of: body) ?? [] { mix(value, into: &state) }
        for _ in 0..<checksumLength { mix(0, into: &state) }
        state ^= 0x2bc8_30a3
        return Base32.text(
            of: (0..<checksumLength).map { UInt8(state >> UInt32(5 * (5 - $0)) & 31) })
    }

    /// Multiplies the state by x and adds a value, in GF(32)[x] modulo the code's generator.
    private static func mix(_ value: UInt8, into state: inout UInt32) {
        let generator: [UInt32] = [
            0x3b6a_57b2, 0x2650_8e6d, 0x1ea1_19fa, 0x3d42_33dd, 0x2a14_62b3,
        ]
        let top = state >> 25
        state = (state & 0x1ff_ffff) << 5 ^ UInt32(value)
        for bit in 0..<5 where top >> UInt32(bit) & 1 == 1 { state ^= generator[bit] }
    }
}
