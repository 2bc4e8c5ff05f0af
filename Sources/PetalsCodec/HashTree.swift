package import PetalsCore

/// The hash tree of RFC 9162 (Certificate Transparency 2.0, section 2.1) over SHA-256.
///
/// A leaf is hashed behind a zero byte, a node behind a one byte, so that neither can pose as the
/// other. A tree of n leaves splits at the largest power of two smaller than n, so every aligned
/// run of 16 leaves is a subtree: the root over a shard's cell hashes is the root over its leaves.
package enum HashTree {
    /// The hash of a leaf's bytes.
    package static func leafHash(_ bytes: RawSpan) -> Digest {
        TreeHasher.lend { $0.leafHash(bytes) }
    }

    /// The root over leaf hashes; the SHA-256 of nothing where there are none.
    ///
    /// - Complexity: O(leaves).
    package static func root(ofLeafHashes hashes: [Digest]) -> Digest {
        hashes.isEmpty ? sha256([]) : TreeHasher.lend { root(hashes[...], $0) }
    }

    /// What proves the leaves `range` to somebody who knows the root: the roots of the largest
    /// subtrees outside of the range, from left to right.
    ///
    /// - Precondition: `range` is not empty and lies inside `leafHashes`.
    package static func rangeProof(leafHashes: [Digest], range: Range<Int>) -> [Digest] {
        precondition(!range.isEmpty && leafHashes.indices.contains(range.lowerBound))
        precondition(range.upperBound <= leafHashes.count)
        return TreeHasher.lend { hasher in
            var proof: [Digest] = []
            func walk(_ subtree: Range<Int>) {
                if !subtree.overlaps(range) {
                    proof.append(root(leafHashes[subtree], hasher))
                } else if !range.covers(subtree) {
                    let middle = split(subtree)
                    walk(subtree.lowerBound..<middle)
                    walk(middle..<subtree.upperBound)
                }
            }
            walk(0..<leafHashes.count)
            return proof
        }
    }

    /// The number of hashes in the proof of `range` in a tree of `count` leaves.
    ///
    /// - Precondition: `range` is not empty and lies inside `0..<count`.
    package static func rangeProofCount(count: Int, range: Range<Int>) -> Int {
        precondition(!range.isEmpty && range.lowerBound >= 0 && range.upperBound <= count)
        func walk(_ subtree: Range<Int>) -> Int {
            if !subtree.overlaps(range) { return 1 }
            if range.covers(subtree) { return 0 }
            let middle = split(subtree)
            return walk(subtree.lowerBound..<middle) + walk(middle..<subtree.upperBound)
        }
        return walk(0..<count)
    }

    /// The root of a tree of `count` leaves that the leaves `range` and their proof lead to.
    ///
    /// All arguments may come from a peer.
    ///
    /// - Returns: nil where the range is empty or outside of the tree, or where there are too few
    ///   or too many hashes.
    /// - Complexity: O(hashes + proof).
    package static func root(
        count: Int, range: Range<Int>, hashes: [Digest], proof: [Digest]
    ) -> Digest? {
        guard !range.isEmpty, range.lowerBound >= 0, range.upperBound <= count,
            hashes.count == range.count
        else { return nil }
        return TreeHasher.lend { hasher in
            var rest = proof[...]
            func walk(_ subtree: Range<Int>) -> Digest? {
                if !subtree.overlaps(range) { return rest.popFirst() }
                if range.covers(subtree) {
                    let first = subtree.lowerBound - range.lowerBound
                    return root(hashes[first..<first + subtree.count], hasher)
                }
                let middle = split(subtree)
                guard let left = walk(subtree.lowerBound..<middle),
                    let right = walk(middle..<subtree.upperBound)
                else { return nil }
                return hasher.nodeHash(left, right)
            }
            let found = walk(0..<count)
            return rest.isEmpty ? found : nil
        }
    }

    /// The root over at least one leaf hash.
    private static func root(_ hashes: ArraySlice<Digest>, _ hasher: TreeHasher) -> Digest {
        if hashes.count == 1 { return hashes[hashes.startIndex] }
        let middle = split(hashes.indices)
        return hasher.nodeHash(root(hashes[..<middle], hasher), root(hashes[middle...], hasher))
    }

    /// Where a subtree of two leaves or more parts: after the largest power of two of its leaves
    /// that is smaller than their number.
    private static func split(_ subtree: Range<Int>) -> Int {
        let bits = Int.bitWidth - (subtree.count - 1).leadingZeroBitCount
        return subtree.lowerBound + 1 << (bits - 1)
    }
}

extension Range<Int> {
    /// Whether all of `other`, which is not empty, lies inside.
    fileprivate func covers(_ other: Range<Int>) -> Bool {
        lowerBound <= other.lowerBound && other.upperBound <= upperBound
    }
}
