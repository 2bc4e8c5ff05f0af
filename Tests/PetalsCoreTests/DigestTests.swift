import PetalsCore
import PetalsTesting
import Testing

/// Digests, keys and topics: exact lengths, order by bytes, and secrets that keep quiet.
@Suite struct DigestTests {
    @Test func bytesHexAndWordsAgree() throws {
        var generator = SeededGenerator(seed: 1)
        for _ in 0..<100 {
            let bytes = generator.bytes(32)
            let digest = try #require(Digest(bytes))
            let hex = bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
            #expect(digest.bytes == bytes)
            #expect(digest.hex == hex)
            #expect(digest.description == hex)
            #expect(digest.short == String(hex.prefix(8)))
            #expect(Digest(hex: hex) == digest)
            #expect(Digest(hex: hex.uppercased()) == digest)
        }
    }

    @Test func onlyThirtyTwoBytesAreADigest() {
        for count in 0..<100 where count != 32 {
            let bytes = [UInt8](repeating: 1, count: count)
            #expect(Digest(bytes) == nil)
            #expect(SecretKey(bytes) == nil)
        }
        for count in 0..<100 where count != 20 {
            #expect(Topic([UInt8](repeating: 1, count: count)) == nil)
        }
    }

    @Test func spanIsReadAtEveryOffset() throws {
        var generator = SeededGenerator(seed: 2)
        let bytes = generator.bytes(70)
        // SAFETY: bytes have no padding and any value; the span does not outlive its array.
        let span = unsafe bytes.span.bytes
        for offset in [-1, -40, Int.min, 39, 70, 71, Int.max] {
            let digest = Digest(span, at: offset)
            #expect(digest == nil)
        }
        for offset in 0...38 {
            let digest = Digest(span, at: offset)
            #expect(digest == Digest(bytes[offset..<offset + 32]))
        }
    }

    @Test(
        arguments: [
            "", "00", String(repeating: "0", count: 63), String(repeating: "0", count: 65),
            String(repeating: "g", count: 64), String(repeating: "é", count: 32),
            String(repeating: "0", count: 62) + "\r\n", String(repeating: "+0", count: 32),
        ])
    func whatIsNoHexIsRefused(text: String) {
        #expect(Digest(hex: text) == nil)
    }

    @Test func orderIsThatOfTheBytes() throws {
        var generator = SeededGenerator(seed: 3)
        for position in 0..<32 {
            var low = generator.bytes(32)
            low[position] = 1
            var high = low
            high[position] = 200
            for rest in high.indices.dropFirst(position + 1) { high[rest] = 0 }
            let (a, b) = (try #require(Digest(low)), try #require(Digest(high)))
            #expect(a < b && !(b < a) && a != b)
        }
        #expect(Digest.zero.bytes == Array(repeating: 0, count: 32))
    }

    @Test func keysKeepQuiet() throws {
        let key = try #require(SecretKey(Array(repeating: 0xAB, count: 32)))
        var dumped = ""
        dump([key], to: &dumped)
        for text in ["\(key)", String(reflecting: key), String(describing: [key]), dumped] {
            #expect(!text.lowercased().contains("abab"))
            #expect(!text.contains("171"))
            #expect(!text.contains("\(0xABAB_ABAB_ABAB_ABAB as UInt64)"))
        }
    }

    @Test func topicPrintsItsBeginning() throws {
        let topic = try #require(Topic(Array(1...20)))
        #expect(topic.description == "0102030405060708")
    }
}

/// Peers are named in one form wherever people read of them.
@Suite struct PeerNameTests {
    @Test func theLabelIsTheNamesBeginning() throws {
        let peer: PeerID = try #require(Digest(Array(1...32)))
        #expect(peer.peerName == Base32.encode(peer.bytes) && peer.peerName.count == 52)
        #expect(peer.label == peer.peerName.prefix(16) && peer.label.count == 16)
        #expect(PeerID.label(of: peer.peerName) == peer.label)
    }
}
