import PetalsCore
import Testing

/// A range in parts: every element once, in order, and no part too long.
@Suite struct RangePartsTests {
    @Test func partsAreTheRange() {
        for start in 0..<4 {
            for count in 0..<20 {
                let range = start..<start + count
                for step in 1..<22 {
                    let parts = Array(range.parts(of: step))
                    #expect(parts.flatMap(Array.init) == Array(range))
                    #expect(parts.dropLast().allSatisfy { $0.count == step })
                    #expect(parts.allSatisfy { !$0.isEmpty && $0.count <= step })
                }
            }
        }
    }

    /// The ends of what numbers there are, and a count that is none.
    @Test func partsAtTheEnds() {
        let last = Int.max - 3..<Int.max
        #expect(Array(last.parts(of: 2)) == [Int.max - 3..<Int.max - 1, Int.max - 1..<Int.max])
        #expect(Array(last.parts(of: .max)) == [last])
        #expect(Array((0..<2).parts(of: 0)) == [0..<1, 1..<2])
    }
}
