/// RFC 4648 base32 in lower case without padding: links that survive speech, paper and file names.
package enum Base32 {
    private static let alphabet = Array("abcdefghijklmnopqrstuvwxyz234567".utf8)

    /// Encodes `bytes`: 8 characters for 5 bytes, the last group shorter.
    package static func encode(_ bytes: some Sequence<UInt8>) -> String {
        var values: [UInt8] = []
        var pending: UInt32 = 0
        var pendingBits = 0
        for byte in bytes {
            pending = pending << 8 | UInt32(byte)
            pendingBits += 8
            while pendingBits >= 5 {
                pendingBits -= 5
                values.append(UInt8(pending >> UInt32(pendingBits) & 31))
            }
            pending &= (1 << UInt32(pendingBits)) - 1
        }
        if pendingBits > 0 {
            values.append(UInt8(pending << UInt32(5 - pendingBits) & 31))
        }
        return text(of: values)
    }

    /// Decodes what `encode` made, in either case.
    ///
    /// - Returns: nil for a foreign character, an impossible length, or stray bits at the end, so
    ///   that one value has one spelling.
    package static func decode(_ text: some StringProtocol) -> [UInt8]? {
        guard let values = values(of: text) else { return nil }
        var bytes: [UInt8] = []
        var pending: UInt32 = 0
        var pendingBits = 0
        for value in values {
            pending = pending << 5 | UInt32(value)
            pendingBits += 5
            if pendingBits >= 8 {
                pendingBits -= 8
                bytes.append(UInt8(truncatingIfNeeded: pending >> UInt32(pendingBits)))
            }
            pending &= (1 << UInt32(pendingBits)) - 1
        }
        guard pendingBits < 5, pending == 0 else { return nil }
        return bytes
    }

    /// The characters for values from 0 to 31.
    static func text(of values: [UInt8]) -> String {
        String(decoding: values.map { alphabet[Int($0 & 31)] }, as: UTF8.self)
    }

    /// The values of characters, in either case; nil where one is foreign.
    static func values(of text: some StringProtocol) -> [UInt8]? {
        var values: [UInt8] = []
        for character in text.utf8 {
            let lower = character | 0x20
            switch character {
            case UInt8(ascii: "2")...UInt8(ascii: "7"):
                values.append(character - UInt8(ascii: "2") + 26)
            case _ where lower >= UInt8(ascii: "a") && lower <= UInt8(ascii: "z"):
                values.append(lower - UInt8(ascii: "a"))
            default: return nil
            }
        }
        return values
    }
}
