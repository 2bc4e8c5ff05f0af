import Testing

@testable import PetalsCore

/// Links pass through chats, terminals and paper; what arrives is the link, or a helpful sentence.
@Suite struct LinksTests {
    private static let keyBytes: [UInt8] = Array(1...32)

    private static func link(
        relay: Bool = false, name: String? = nil, peers: [String] = []
    ) throws -> ModelLink {
        let key = try #require(SecretKey(keyBytes))
        let id = try #require(Digest(Array(101...132)))
        return ModelLink(
            capability: relay ? .relay(key) : .read(key), manifestID: id, name: name, peers: peers)
    }

    @Test(
        arguments: [
            (nil, []), ("gemma", []), ("gemma 3/4?&=%+#ü", []), (nil, ["127.0.0.1:9000"]),
            ("ünï", ["[::1]:1", "host-name:65535"]), ("a", (0..<8).map { "h:\($0)" }),
        ] as [(String?, [String])])
    func linksComeBack(name: String?, peers: [String]) throws {
        for relay in [false, true] {
            let plain = name?.replacing("/", with: "-")
            let link = try Self.link(relay: relay, name: plain, peers: peers)
            #expect(try ModelLink(parsing: link.text) == link)
            #expect(link.text.hasPrefix(link.core))
            #expect(link.text.allSatisfy { $0.isASCII && !$0.isWhitespace && $0 != "+" })
            #expect(link.core.count == 10 + 103 + 6)
        }
    }

    @Test(arguments: ["", " ", "\n", "\t", "\r\n", " \n\u{A0}"])
    func whiteSpaceAroundIsNoPartOfIt(space: String) throws {
        let link = try Self.link(name: "x")
        #expect(try ModelLink(parsing: space + link.text + space) == link)
    }

    @Test func everyTruncationIsToldApart() throws {
        let text = try Self.link().text
        // Without the checksum it is whole all the same, as links once were.
        for count in 0..<text.count where count != text.count - 6 {
            let cut = String(text.prefix(count))
            let error = #expect(throws: PetalsError.self) { try ModelLink(parsing: cut) }
            #expect(error?.code == .badInput)
            // The sentence may be logged; the link may not.
            if count > 20 {
                #expect(error?.message.contains(text.dropFirst(10).prefix(8)) == false)
            }
        }
        for tail in ["a", "aaaaaaaa"] {
            #expect(throws: PetalsError.self) { try ModelLink(parsing: text + tail) }
        }
    }

    @Test func everyForeignCharacterIsRefused() throws {
        let text = Array(try Self.link().text)
        for position in 10..<text.count {
            for foreign in ["1", "0", "8", " ", "é", "\u{0}"] {
                var changed = text
                changed[position] = Character(foreign)
                #expect(throws: PetalsError.self) { try ModelLink(parsing: String(changed)) }
            }
        }
    }

    /// Every letter in the place of every other, and every two neighbours changed: none is read,
    /// and the answer does not repeat what may be a secret.
    @Test func everyWrongLetterIsNoticed() throws {
        for link in [try Self.link(), try Self.link(relay: true)] {
            let text = Array(link.core)
            for position in 10..<text.count {
                for letter in "abcdefghijklmnopqrstuvwxyz234567" where letter != text[position] {
                    var changed = text
                    changed[position] = letter
                    let error = #expect(throws: PetalsError.self) {
                        try ModelLink(parsing: String(changed))
                    }
                    #expect(error?.message.contains("a letter of the link is wrong") == true)
                    #expect(error?.message.contains(String(changed[10..<18])) == false)
                }
                guard position + 1 < text.count, text[position] != text[position + 1] else {
                    continue
                }
                var changed = text
                changed.swapAt(position, position + 1)
                #expect(throws: PetalsError.self) { try ModelLink(parsing: String(changed)) }
            }
        }
    }

    /// A relay cap that is made a link by its first letters, and a link in upper case.
    @Test func theChecksumIsOfItsKind() throws {
        let relay = try Self.link(relay: true).core
        let forged = "petals:r1:" + relay.dropFirst(10)
        #expect(throws: PetalsError.self) { try ModelLink(parsing: forged) }
        let upper = "petals:v1:" + relay.dropFirst(10).uppercased()
        #expect(try ModelLink(parsing: upper) == Self.link(relay: true))
    }

    /// Links that were made before there was a checksum; their spare bits have one right value.
    @Test func linksWithoutAChecksumAreRead() throws {
        let link = try Self.link(name: "x", peers: ["h:1"])
        let bare = String(link.core.dropLast(6))
        #expect(bare.count == 10 + 103)
        #expect(try ModelLink(parsing: bare) == Self.link())
        #expect(try ModelLink(parsing: bare + "?name=x&peer=h:1") == link)
        let read = "abcdefghijklmnopqrstuvwxyz234567".compactMap {
            try? ModelLink(parsing: bare.dropLast() + String($0))
        }
        #expect(read.count == 4)
    }

    /// What begins like something else is told which command takes it, by every reader.
    @Test(arguments: LinkKind.allCases)
    func theWrongKindIsToldItsCommand(kind: LinkKind) throws {
        let text = " \(kind.rawValue)aaaa"
        func message(_ read: () throws -> Void) -> String? {
            do {
                try read()
                return nil
            } catch {
                return (error as? PetalsError)?.message
            }
        }
        let asModel = message { _ = try ModelLink(parsing: text) }
        #expect((asModel == kind.advice) == ![.model, .relayCap].contains(kind))
        let asCatalogue = message { _ = try CatalogueLink(parsing: text) }
        #expect((asCatalogue == kind.advice) == (kind != .catalogue))
        let asDelegation = message { _ = try SignedDelegation(parsingText: text) }
        #expect((asDelegation == kind.advice) == (kind != .delegation))
        #expect(asModel != nil && asCatalogue != nil && asDelegation != nil)
    }

    /// BIP 350's own examples of valid strings, in base32's letters.
    @Test(
        arguments: [
            "a1lqfn3a", "abcdef1l7aum6echk45nj3s0wdvt2fg8x9yrzpqzd3ryx", "?1v759aa",
            "split1checkupstagehandshakeupstreamerranterredcaperredlc445v",
        ])
    func theChecksumIsThatOfBIP350(text: String) throws {
        let alphabets = Dictionary(
            uniqueKeysWithValues: zip(
                "qpzry9x8gf2tvdw0s3jn54khce6mua7l", "abcdefghijklmnopqrstuvwxyz234567"))
        let end = try #require(text.lastIndex(of: "1"))
        let body = String(text[text.index(after: end)...].compactMap { alphabets[$0] })
        #expect(
            LinkBody.checksum(of: body.dropLast(6), kind: String(text[..<end])) == body.suffix(6))
    }

    @Test(
        arguments: [
            "", "hello", "petals:", "petals:r1", "petals:r2:aaaa", "magnet:?xt=x", "PETALS:R1:aaaa",
            "https://example.org/petals:r1:",
        ])
    func whatIsNoLinkIsSaidSo(text: String) {
        let error = #expect(throws: PetalsError.self) { try ModelLink(parsing: text) }
        #expect(error?.code == .badInput)
        #expect(error?.message.contains("link") == true)
    }

    @Test(
        arguments: [
            ("?name=a%20b", "a b", []), ("?name=%C3%BC", "ü", []), ("?", nil, []), ("?&&", nil, []),
            ("?name", nil, []), ("?name=", nil, []), ("?other=1&peer=h:1", nil, ["h:1"]),
            ("?peer=h%3A1", nil, ["h:1"]),
            // What does not decode is no hint: half an escape, a sign, no text.
            ("?name=%", nil, []), ("?name=%4", nil, []), ("?name=%+1", nil, []),
            ("?name=%-1", nil, []), ("?name=%zz", nil, []), ("?name=%C3", nil, []),
            ("?name=%%20", nil, []), ("?peer=%+f", nil, []),
        ] as [(String, String?, [String])])
    func hintsAreDecoded(tail: String, name: String?, peers: [String]) throws {
        let link = try ModelLink(parsing: try Self.link().core + tail)
        #expect(link.name == name)
        #expect(link.peers == peers)
    }

    @Test(arguments: ["?name=..", "?name=a%2Fb", "?name=%00", "?name=a%0Ab"])
    func hostileNamesAreRefused(tail: String) throws {
        let text = try Self.link().core + tail
        #expect(throws: PetalsError.self) { try ModelLink(parsing: text) }
    }

    @Test func peersAreFew() throws {
        let tail = "?" + (0..<100).map { "peer=h:\($0)" }.joined(separator: "&")
        #expect(try ModelLink(parsing: try Self.link().core + tail).peers.count == 8)
    }

    @Test func linksKeepQuiet() throws {
        for relay in [false, true] {
            let link = try Self.link(relay: relay, name: "n", peers: ["h:1"])
            let secret = Base32.encode(Self.keyBytes).prefix(16)
            var dumped = ""
            dump(link, to: &dumped)
            for text in ["\(link)", String(reflecting: link), "\(link.capability)", dumped] {
                #expect(!text.contains(secret))
                #expect(!text.contains("0102030405"))
            }
            #expect(link.core.contains(secret))
        }
    }
}
