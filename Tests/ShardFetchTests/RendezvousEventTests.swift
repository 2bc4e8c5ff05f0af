import PetalsCore
import PetalsTesting
import Testing

@testable import ShardFetch

/// What comes out of CRendezvous, right and wrong, becomes an event or nothing.
///
/// All kinds with all lengths are tried, so that no number of bytes meets a trap.
struct RendezvousEventTests {
    private let topic = [UInt8](1...20)

    private func event(
        _ kind: Int32, number: Int64 = 0, topic: [UInt8]? = nil, _ bytes: [UInt8] = []
    ) -> RendezvousEvent? {
        RendezvousEvent(kind: kind, number: number, topic: topic ?? self.topic, bytes: bytes)
    }

    private func endpoint(_ text: String) throws -> NumericEndpoint {
        try #require(NumericEndpoint(SocketEndpoint(parsing: text)))
    }

    @Test func eachKindIsUnderstood() throws {
        let first = try endpoint("1.2.3.4:5")
        let second = try endpoint("[2600::1]:65535")
        #expect(event(1, first.packed) == .listening(first))
        #expect(event(2, Array("no such address\n".utf8)) == .listenFailed("no such address�"))
        let known = try #require(Topic(topic))
        #expect(event(3, first.packed + second.packed) == .peers(known, [first, second]))
        #expect(event(3) == .peers(known, []))
        #expect(event(4, number: 12) == .nodes(12))
        #expect(event(5, number: 65535) == .portMapped(65535))
        #expect(event(6, Array("refused".utf8)) == .portFailed("refused"))
        #expect(event(7, second.packed) == .externalAddress(second))
        let item = MutableItem(
            key: Array(repeating: 1, count: 32), signature: Array(repeating: 2, count: 64),
            sequence: 0x0102_0304_0506_0708, salt: [9, 9], value: Array("1:x".utf8))
        let packed =
            item.key + item.signature + Array(1...8 as ClosedRange<UInt8>) + item.salt + item.value
        #expect(event(8, number: 2, packed) == .item(item))
    }

    @Test func everyLengthOfEveryKindIsReadOrRefused() {
        var generator = SeededGenerator(seed: 11)
        let bytes = generator.bytes(400)
        let numbers: [Int64] = [.min, -1, 0, 1, 64, 65, 65535, 65536, .max]
        for kind in Int32(-1)...9 {
            for count in 0...bytes.count {
                for number in numbers {
                    let event = event(kind, number: number, Array(bytes.prefix(count)))
                    switch kind {
                    case 1, 7: #expect((event != nil) == (count == 18))
                    case 2, 3, 4, 6: #expect(event != nil)
                    case 5: #expect((event != nil) == (1...65535).contains(number))
                    case 8:
                        let fits = (0...64).contains(number) && count > 104 + number
                        #expect((event != nil) == fits)
                    default: #expect(event == nil)
                    }
                }
            }
        }
        for count in 0...40 where count != 20 {
            #expect(event(3, topic: Array(repeating: 1, count: count), []) == nil)
        }
        #expect(event(.max) == nil && event(.min) == nil)
        #expect(event(4, number: -5) == .nodes(0))
    }

    /// Leftover bytes of a list of peers are dropped, and no peer is lost for them.
    @Test(arguments: 0..<72) func aTornListGivesWholePeers(count: Int) throws {
        let bytes = try (0..<4).flatMap { try endpoint("1.2.3.4:\($0 + 1)").packed }
        guard case .peers(_, let peers) = event(3, Array(bytes.prefix(count))) else {
            Issue.record("no peers")
            return
        }
        #expect(peers.map(\.port) == (0..<count / 18).map { UInt16($0 + 1) })
    }

    /// A text from outside is cut, and prints on one line.
    @Test func textsAreTamed() {
        let text = [UInt8](repeating: 0x1b, count: 5000) + [0xff, 0x0a]
        guard case .portFailed(let shown) = event(6, text) else {
            Issue.record("no text")
            return
        }
        #expect(shown.count <= Limits.peerTextBytesMax)
        #expect(!shown.contains { $0 == "\u{1b}" || $0 == "\n" })
    }

    @Test(arguments: ["1.2.3.4:5", "127.0.0.1:0", "[::1]:65535", "[2600:1:2::ff]:7700"])
    func endpointsArePackedAndBack(_ text: String) throws {
        let written = try SocketEndpoint(parsing: text)
        let endpoint = try #require(NumericEndpoint(written))
        #expect(endpoint.packed.count == NumericEndpoint.byteCount)
        #expect(NumericEndpoint(packed: endpoint.packed) == endpoint)
        #expect(endpoint.socketEndpoint == written)
        for count in 0..<40 where count != NumericEndpoint.byteCount {
            #expect(NumericEndpoint(packed: [UInt8](repeating: 1, count: count)) == nil)
        }
    }

    @Test func namesAreNoEndpoints() throws {
        #expect(NumericEndpoint(try SocketEndpoint(parsing: "example.org:6881")) == nil)
        // One address has one form, however it came.
        let mapped = try endpoint("[::ffff:1.2.3.4]:5")
        #expect(try mapped == endpoint("1.2.3.4:5"))
    }

    /// BEP 44's own example of what is signed.
    @Test func signedBytesAreThoseOfTheStandard() {
        let value = Array("12:Hello World!".utf8)
        let plain = MutableItem.signedBytes(sequence: 1, salt: [], value: value)
        #expect(plain == Array("3:seqi1e1:v12:Hello World!".utf8))
        let salted = MutableItem.signedBytes(
            sequence: 1, salt: Array("foobar".utf8), value: value)
        #expect(salted == Array("4:salt6:foobar3:seqi1e1:v12:Hello World!".utf8))
    }
}
