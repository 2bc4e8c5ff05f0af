import PetalsCore
import Testing

@testable import PetalsCodec

/// Goal: a range proof proves its range and nothing else.
///
/// Method: every range of every tree of up to 20 leaves; then every way to be wrong that a peer
/// could try.
@Suite struct HashTreeTests {
    static let leaves = (0..<40).map { leafHash([UInt8($0)]) }

    /// The definition of RFC 9162, as it is written there: MTH over a list.
    static func slowRoot(_ hashes: [Digest]) -> Digest {
        if hashes.isEmpty { return sha256([]) }
        if hashes.count == 1 { return hashes[0] }
        var size = 1
        while size * 2 < hashes.count { size *= 2 }
        return sha256(
            [1] + slowRoot(Array(hashes[..<size])).bytes + slowRoot(Array(hashes[size...])).bytes)
    }

    @Test(arguments: 0...40)
    func rootIsTheDefinition(count: Int) {
        let hashes = Array(Self.leaves[..<count])
        #expect(HashTree.root(ofLeafHashes: hashes) == Self.slowRoot(hashes))
    }

    @Test(arguments: 1...20)
    func everyRangeIsProved(count: Int) {
        let hashes = Array(Self.leaves[..<count])
        let root = HashTree.root(ofLeafHashes: hashes)
        for range in ranges(between: Array(0...count)) where !range.isEmpty {
            let proof = HashTree.rangeProof(leafHashes: hashes, range: range)
            #expect(HashTree.rangeProofCount(count: count, range: range) == proof.count)
            func found(_ count: Int, _ range: Range<Int>, _ hashes: [Digest], _ proof: [Digest])
                -> Digest?
            {
                HashTree.root(count: count, range: range, hashes: hashes, proof: proof)
            }
            let part = Array(hashes[range])
            #expect(found(count, range, part, proof) == root)
            // Too long, too short, too few and too many hashes.
            #expect(found(count, range, part, proof + [root]) == nil)
            if !proof.isEmpty {
                #expect(found(count, range, part, Array(proof.dropLast())) == nil)
                #expect(found(count, range, part, Array(proof.dropFirst())) == nil)
            }
            #expect(found(count, range, Array(part.dropLast()), proof) == nil)
            #expect(found(count, range, part + [root], proof) == nil)
            // Any one hash changed, in the range or in the proof.
            for index in part.indices {
                var wrong = part
                wrong[index] = sha256(part[index].bytes)
                #expect(found(count, range, wrong, proof) != root)
            }
            for index in proof.indices {
                var wrong = proof
                wrong[index] = sha256(proof[index].bytes)
                #expect(found(count, range, part, wrong) != root)
            }
            // The same leaves claimed for another place.
            for shift in [-1, 1] {
                let moved = range.lowerBound + shift..<range.upperBound + shift
                #expect(found(count, moved, part, proof) != root)
            }
        }
    }

    @Test func nonsenseGivesNil() {
        let leaf = Self.leaves[0]
        for (count, range) in [
            (0, 0..<0), (0, 0..<1), (-1, 0..<1), (Int.min, -1..<0), (4, -1..<0), (4, 4..<5),
            (4, 3..<5),
            (4, 2..<2), (Int.max, 0..<1), (Int.max, Int.max - 1..<Int.max),
        ] {
            #expect(HashTree.root(count: count, range: range, hashes: [leaf], proof: []) == nil)
            #expect(
                HashTree.root(
                    count: count, range: range, hashes: [leaf],
                    proof: Array(repeating: leaf, count: 100)) == nil)
        }
    }

    /// The root over cell hashes is the root over leaves, whatever the last cell's length.
    @Test func shardRootIsTheRootOverAllLeaves() {
        for cells in 1...7 {
            for lastLeaves in 1...16 {
                let hashes = (0..<(cells - 1) * 16 + lastLeaves).map { leafHash([UInt8($0)]) }
                let cellHashes = stride(from: 0, to: hashes.count, by: 16).map {
                    HashTree.root(ofLeafHashes: Array(hashes[$0..<min($0 + 16, hashes.count)]))
                }
                #expect(HashTree.root(ofLeafHashes: cellHashes) == Self.slowRoot(hashes))
            }
        }
    }

    @Test func streamingHashIsTheWholeHash() {
        let bytes = lcg(seed: 9, count: 300)
        for cut in [0, 1, 63, 64, 65, 299, 300] {
            var hasher = StreamingSHA256()
            hasher.update(Array(bytes[..<cut]))
            #expect(hasher.finalize() == sha256(Array(bytes[..<cut])))
            let copy = hasher
            hasher.update(Array(bytes[cut...]))
            #expect(hasher.finalize() == sha256(bytes))
            #expect(copy.finalize() == sha256(Array(bytes[..<cut])))
        }
    }
}
