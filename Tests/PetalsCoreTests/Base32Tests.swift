import PetalsCore
import PetalsTesting
import Testing

/// Base32: RFC 4648's own vectors, every length, and one spelling for one value.
@Suite struct Base32Tests {
    /// RFC 4648, section 10, without the padding.
    @Test(
        arguments: [
            ("", ""), ("f", "my"), ("fo", "mzxq"), ("foo", "mzxw6"), ("foob", "mzxw6yq"),
            ("fooba", "mzxw6ytb"), ("foobar", "mzxw6ytboi"),
        ])
    func vectorsOfTheStandard(plain: String, text: String) {
        #expect(Base32.encode(plain.utf8) == text)
        #expect(Base32.decode(text) == Array(plain.utf8))
        #expect(Base32.decode(text.uppercased()) == Array(plain.utf8))
    }

    @Test func everyLengthComesBack() {
        var generator = SeededGenerator(seed: 4)
        for count in 0...100 {
            let bytes = generator.bytes(count)
            let text = Base32.encode(bytes)
            #expect(text.utf8.count == (count * 8 + 4) / 5)
            #expect(Base32.decode(text) == bytes)
        }
    }

    /// All texts of up to three characters: what decodes is what encoding that value gives.
    @Test func oneValueHasOneSpelling() {
        let alphabet = Array("abcdefghijklmnopqrstuvwxyz234567")
        var texts = [""]
        var round = [""]
        for _ in 0..<3 {
            round = round.flatMap { text in alphabet.map { text + String($0) } }
            texts += round
        }
        var values: Set<[UInt8]> = []
        for text in texts {
            guard let bytes = Base32.decode(text) else { continue }
            if Base32.encode(bytes) != text || !values.insert(bytes).inserted {
                Issue.record("\(text) is a second spelling of \(bytes)")
            }
        }
        // Nothing, and all single bytes; three characters are no whole number of bytes.
        #expect(values.count == 1 + 256)
    }

    @Test func foreignCharactersAreRefused() {
        for byte in UInt8.min...UInt8.max {
            let scalar = Character(Unicode.Scalar(byte))
            let isOurs = scalar.isASCII && (scalar.isLetter || ("2"..."7").contains(scalar))
            #expect((Base32.decode("aa\(scalar)aaaaa") != nil) == isOurs)
        }
    }
}
