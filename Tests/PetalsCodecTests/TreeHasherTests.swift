import PetalsCore
import PetalsTesting
import Testing

@testable import PetalsCodec

/// Goal: leaves hashed side by side have the hashes that they have one by one.
///
/// Method: every number of leaves up to three full sets of lanes, against SHA-256 of the leaf
/// behind a zero byte as the library for streams computes it; then what the lanes keep between two
/// calls.
@Suite struct TreeHasherTests {
    /// Leaves whose bytes all differ, from a printed seed.
    private static func leaves(_ count: Int, seed: UInt64) -> [UInt8] {
        var generator = SeededGenerator(seed: seed)
        return (0..<count * Limits.leafBytes).map { _ in
            UInt8.random(in: 0...255, using: &generator)
        }
    }

    private static func hashes(_ bytes: [UInt8], _ hasher: TreeHasher) -> [Digest] {
        // SAFETY: each leaf lies inside the array, which outlives the call.
        unsafe bytes.withUnsafeBytes { buffer in
            guard let start = buffer.baseAddress else { return [] }
            return unsafe hasher.leafHashes(count: bytes.count / Limits.leafBytes) {
                unsafe start + $0 * Limits.leafBytes
            }
        }
    }

    @Test func everyNumberOfLeavesHashesAsOneByOne() {
        let most = 49
        let bytes = Self.leaves(most, seed: 1)
        let expected = (0..<most).map { leaf in
            sha256([0] + bytes[leaf * Limits.leafBytes..<(leaf + 1) * Limits.leafBytes])
        }
        let (wide, narrow) = (TreeHasher(), TreeHasher(usesLanes: false))
        for count in 0...most {
            let part = Array(bytes[..<(count * Limits.leafBytes)])
            #expect(Self.hashes(part, wide) == Array(expected[..<count]))
            #expect(Self.hashes(part, narrow) == Array(expected[..<count]))
        }
    }

    @Test func aChangedBitChangesOneHash() {
        let bytes = Self.leaves(16, seed: 2)
        let hasher = TreeHasher()
        let before = Self.hashes(bytes, hasher)
        for leaf in 0..<16 {
            for offset in [0, Limits.leafBytes / 2, Limits.leafBytes - 1] {
                var changed = bytes
                changed[leaf * Limits.leafBytes + offset] ^= 0x10
                let after = Self.hashes(changed, hasher)
                #expect(before.indices.filter { before[$0] != after[$0] } == [leaf])
            }
        }
    }

    @Test func nodesAndLeavesOfAnyLengthAreTheDefinition() {
        let hasher = TreeHasher()
        let (left, right) = (sha256([1]), sha256([2]))
        #expect(hasher.nodeHash(left, right) == sha256([1] + left.bytes + right.bytes))
        for length in 0...200 {
            let bytes = [UInt8](repeating: UInt8(length), count: length)
            // SAFETY: a `UInt8` has no padding.
            #expect(unsafe hasher.leafHash(bytes.span.bytes) == sha256([0] + bytes))
        }
    }

    @Test func manyThreadsBorrowAtTheSameTime() async {
        let bytes = Self.leaves(16, seed: 3)
        let expected = Self.hashes(bytes, TreeHasher(usesLanes: false))
        await withTaskGroup(of: Bool.self) { group in
            for _ in 0..<32 {
                group.addTask {
                    (0..<8).allSatisfy { _ in
                        TreeHasher.lend { Self.hashes(bytes, $0) } == expected
                    }
                }
            }
            for await isRight in group { #expect(isRight) }
        }
    }

    @Test(arguments: 2...64)
    func leavesAtOnceFillTheLanes(columns: Int) {
        let width = TreeHasher.leavesAtOnce(columns: columns)
        #expect(width >= 1 && (width == 1 || columns * width <= 48))
        // One leaf of a column at a time would fill them less, or as well.
        func fill(_ leaves: Int) -> Double { Double(leaves) / Double(roundUp(leaves, to: 16)) }
        #expect(fill(columns * width) >= fill(columns))
        if columns <= 16 { #expect(fill(columns * width) >= 0.8) }
    }
}
