import PetalsCore
import Testing

/// What a person gives to `petalsfs add` is a link or the SHA-256 of a file, or a sentence says
/// what is wrong with it.
@Suite struct ModelReferenceTests {
    static let digits = "00112233445566778899aabbccddeeff0123456789abcdefABCDEF0123456789"

    @Test(arguments: ["", " ", "\n", "\t", "\r\n", " \n\u{A0}"])
    func digestsComeThroughInEitherCase(space: String) throws {
        let digest = try #require(Digest(hex: Self.digits))
        for digits in [Self.digits, Self.digits.lowercased(), Self.digits.uppercased()] {
            let text = space + "sha256:" + digits + space
            #expect(ModelReference.namesFile(text))
            #expect(try ModelReference(parsing: text) == .file(sha256: digest))
        }
    }

    @Test func linksAreLinks() throws {
        let key = try #require(SecretKey(Array(1...32)))
        let id = try #require(Digest(Array(101...132)))
        for capability in [ModelLink.Capability.read(key), .relay(key)] {
            let link = ModelLink(capability: capability, manifestID: id, name: "sha256:")
            #expect(!ModelReference.namesFile(link.text))
            #expect(try ModelReference(parsing: link.text) == .link(link))
        }
    }

    /// Every length but the right one, and every wrong character at every place.
    @Test func whatIsNoDigestIsRefused() {
        for count in 0..<64 { expectRefusal("sha256:" + Self.digits.prefix(count)) }
        expectRefusal("sha256:" + Self.digits + "0")
        for place in 0..<64 {
            for wrong in ["g", " ", "-", "0x", "é", "\u{661}", "\u{FF11}", "\n", "\0"] {
                let start = Self.digits.prefix(place)
                let rest = Self.digits.dropFirst(place + 1)
                expectRefusal("sha256:" + start + wrong + rest)
            }
        }
        expectRefusal("sha256: " + Self.digits)
        expectRefusal("sha256:" + Self.digits + " " + Self.digits)
        expectRefusal("SHA256:" + Self.digits)
        expectRefusal(Self.digits)
    }

    private func expectRefusal(_ text: String) {
        let error = #expect(throws: PetalsError.self) { try ModelReference(parsing: text) }
        #expect(error?.code == .badInput, "\(text)")
    }
}
