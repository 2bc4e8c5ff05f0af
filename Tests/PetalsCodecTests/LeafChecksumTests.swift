import PetalsCodec
import PetalsCore
import PetalsTesting
import Testing

/// Goal: the checksum is CRC-32C, and finds every small change.
@Suite struct LeafChecksumTests {
    private func checksum(_ bytes: [UInt8]) -> UInt32 {
        // SAFETY: a `UInt8` has no padding.
        unsafe LeafChecksum(of: bytes.span.bytes).rawValue
    }

    /// The definition, bit by bit.
    private func slowChecksum(_ bytes: [UInt8]) -> UInt32 {
        var register = UInt32.max
        for byte in bytes {
            register ^= UInt32(byte)
            for _ in 0..<8 {
                register = register & 1 == 0 ? register >> 1 : register >> 1 ^ 0x82f6_3b78
            }
        }
        return ~register
    }

    /// The examples of RFC 3720, appendix B.4, and the check value of the catalogues.
    @Test func knownValues() {
        #expect(checksum(Array("123456789".utf8)) == 0xe306_9283)
        #expect(checksum([UInt8](repeating: 0, count: 32)) == 0x8a91_36aa)
        #expect(checksum([UInt8](repeating: 0xff, count: 32)) == 0x62a8_ab43)
        #expect(checksum(Array(0..<32)) == 0x46dd_794e)
        #expect(checksum(Array((0..<32).reversed())) == 0x113f_db5c)
        #expect(checksum([]) == 0)
    }

    @Test(arguments: [1, 7, 8, 63, 64, 65, 1_000, 16_384])
    func isTheDefinition(count: Int) {
        var generator = SeededGenerator(seed: UInt64(count))
        let bytes = generator.bytes(count)
        #expect(checksum(bytes) == slowChecksum(bytes))
    }

    @Test func bytesThatChangedAreNotUnchanged() throws {
        var generator = SeededGenerator(seed: 3)
        let bytes = generator.bytes(3 * Limits.leafBytes)
        // SAFETY: a `UInt8` has no padding.
        let hashes = stride(from: 0, to: bytes.count, by: Limits.leafBytes).map {
            unsafe HashTree.leafHash(bytes.span.bytes.extracting($0..<$0 + Limits.leafBytes))
        }
        let address = CellAddress(shard: ShardIndex(0), cell: CellIndex(0))
        func found(_ bytes: [UInt8], _ sums: [LeafChecksum]) -> VerifiedLeaves? {
            VerifiedLeaves.unchanged(
                address: address, leaves: 1..<4, bytes: bytes, leafHashes: hashes, checksums: sums)
        }
        let verified = try #require(
            VerifiedLeaves.checked(
                address: address, leaves: 1..<4, bytes: bytes, leafHashes: hashes))
        let sums = verified.checksums()
        #expect(found(bytes, sums) == verified)
        for place in stride(from: 0, to: bytes.count, by: 997) {
            var changed = bytes
            changed[place] ^= 1 << (place % 8)
            #expect(found(changed, sums) == nil)
        }
        #expect(found(Array(bytes.dropLast()), sums) == nil)
        #expect(found(bytes, Array(sums.dropLast())) == nil)
        #expect(found(bytes, sums.reversed()) == nil)
        #expect(found([], []) == nil)
    }
}
