import PetalsCore
import PetalsTesting
import Testing

/// A leaf set is 16 bits: all 65536 of them are compared with a `Set`.
@Suite struct LeafSetTests {
    @Test func everyMaskAgreesWithASet() {
        var wrong: [UInt16] = []
        for mask in UInt16.min...UInt16.max {
            let set = LeafSet(mask: mask)
            var runs: [Range<Int>] = []
            var count = 0
            for leaf in 0..<16 where mask & (1 << UInt16(leaf)) != 0 {
                count += 1
                if let last = runs.last, last.upperBound == leaf {
                    runs[runs.count - 1] = last.lowerBound..<leaf + 1
                } else {
                    runs.append(leaf..<leaf + 1)
                }
            }
            if set.runs != runs || set.count != count || set.isEmpty != (mask == 0) {
                wrong.append(mask)
            }
        }
        #expect(wrong.isEmpty)
    }

    @Test func everyRangeAgreesWithASet() {
        for low in 0...16 {
            for high in low...16 {
                let set = LeafSet(low..<high)
                #expect((0..<16).filter(set.contains) == Array(low..<high))
                #expect(set.runs == (low < high ? [low..<high] : []))
            }
            #expect((0..<16).filter(LeafSet(first: low).contains) == Array(0..<low))
        }
        #expect(!LeafSet(first: 16).contains(16))
    }

    @Test func algebraAgreesWithSets() {
        var generator = SeededGenerator(seed: 5)
        for _ in 0..<500 {
            let a = LeafSet(mask: .random(in: 0 ... .max, using: &generator))
            let b = LeafSet(mask: .random(in: 0 ... .max, using: &generator))
            let x = Set((0..<16).filter(a.contains))
            let y = Set((0..<16).filter(b.contains))
            #expect(Set((0..<16).filter(a.union(b).contains)) == x.union(y))
            #expect(Set((0..<16).filter(a.intersection(b).contains)) == x.intersection(y))
            #expect(Set((0..<16).filter(a.subtracting(b).contains)) == x.subtracting(y))
            #expect(a.isSuperset(of: b) == x.isSuperset(of: y))
            #expect(a.isSuperset(of: a.intersection(b)))
        }
    }

    @Test func bytesAreCoveredByTheirLeaves() {
        let leaf = Limits.leafBytes
        var edges: [Int] = [0]
        for mark in 1...16 { edges += [mark * leaf - 1, mark * leaf, mark * leaf + 1] }
        edges.removeLast()
        for low in edges {
            for high in edges where high >= low {
                var wanted: [Int] = []
                for index in 0..<16 where low < high {
                    if index * leaf < high && (index + 1) * leaf > low { wanted.append(index) }
                }
                let set = LeafSet(covering: low..<high)
                if (0..<16).filter(set.contains) != wanted {
                    Issue.record("\(low)..<\(high) is covered by \(set)")
                }
            }
        }
    }
}
