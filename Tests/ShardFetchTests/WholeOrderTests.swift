import PetalsCore
import PetalsTesting
import ShardFetch
import Testing

/// Hands out cells of small shards and compares with what a sort of all of them would give.
struct WholeOrderTests {
    private func cells(_ count: Int) -> [CellAddress] {
        (0..<count).map { CellAddress(shard: ShardIndex($0 % 4), cell: CellIndex($0 / 4)) }
    }

    @Test("Each cell is handed out once, whatever is asked for", arguments: [1, 3, 7, 100])
    func eachOnce(step: Int) {
        var generator = SeededGenerator(seed: UInt64(step))
        var order = WholeOrder(cells(50), using: &generator)
        var came: [CellAddress] = []
        while order.count > 0 {
            let before = order.count
            came += order.next(step) { $0.cell.rawValue % 3 }
            #expect(order.count == before - min(step, before))
        }
        #expect(came.sorted() == cells(50).sorted())
    }

    @Test("The rarest come first, and what nobody holds last")
    func rarestFirst() {
        var generator = SeededGenerator(seed: 5)
        var order = WholeOrder(cells(40), using: &generator)
        // Shard 0 has nobody, shard 1 three holders, shard 2 one, shard 3 two.
        let holders = [0, 3, 1, 2]
        let came = order.next(40) { holders[$0.shard.rawValue] }
        let expected = [2, 3, 1, 0].flatMap { Array(repeating: $0, count: 10) }
        #expect(came.map(\.shard.rawValue) == expected)
    }

    @Test("Two nodes begin with different cells")
    func different() {
        var (one, two) = (SeededGenerator(seed: 1), SeededGenerator(seed: 2))
        var first = WholeOrder(cells(400), using: &one)
        var second = WholeOrder(cells(400), using: &two)
        let common = Set(first.next(20) { _ in 1 }).intersection(second.next(20) { _ in 1 })
        #expect(common.count < 10)
    }

    @Test("What is common goes to the end, so that later cells are compared too")
    func commonGoesBack() {
        var generator = SeededGenerator(seed: 9)
        // More than are compared at a time; the rare ones are found all the same.
        let all = cells(3000)
        let rare = Set(all.prefix(300))
        var order = WholeOrder(all, using: &generator)
        var came: [CellAddress] = []
        for _ in 0..<6 { came += order.next(100) { rare.contains($0) ? 1 : 9 } }
        #expect(rare.isSubset(of: Set(came)))
    }
}
