import PetalsCore
import PetalsTesting
import Testing

/// A bitmap against a set of numbers, and bitmaps that a peer got wrong.
@Suite struct CellBitmapTests {
    @Test(arguments: [1, 7, 8, 9, 64, 100, 762])
    func operationsAgreeWithASet(cellCount: Int) {
        let seed = UInt64(cellCount)
        var generator = SeededGenerator(seed: seed)
        var bitmap = CellBitmap(cellCount: cellCount)
        var model: Set<Int> = []
        for _ in 0..<500 {
            let cell = Int.random(in: 0..<cellCount, using: &generator)
            if Bool.random(using: &generator) {
                bitmap.insert(CellIndex(cell))
                model.insert(cell)
            } else {
                bitmap.remove(CellIndex(cell))
                model.remove(cell)
            }
            #expect(bitmap.count == model.count, "seed \(seed)")
        }
        #expect((0..<cellCount).filter { bitmap.contains(CellIndex($0)) } == model.sorted())
        #expect(bitmap.isEmpty == model.isEmpty)
        #expect(CellBitmap(cellCount: cellCount, bytes: bitmap.bytes) == bitmap)
        for outside in [-1, Int.min, cellCount, Int.max] {
            #expect(!bitmap.contains(CellIndex(outside)))
        }
    }

    @Test func lengthAndSpareBitsAreChecked() {
        for cellCount in 0...40 {
            let full = CellBitmap(cellCount: cellCount, complete: true)
            #expect(full.isComplete && full.count == cellCount)
            #expect(full.bytes.count == (cellCount + 7) / 8)
            #expect(CellBitmap(cellCount: cellCount, bytes: full.bytes) == full)
            #expect(CellBitmap(cellCount: cellCount, bytes: full.bytes + [0]) == nil)
            if cellCount > 0 {
                #expect(CellBitmap(cellCount: cellCount, bytes: full.bytes.dropLast()) == nil)
            }
            for spare in cellCount..<full.bytes.count * 8 {
                var bytes = full.bytes
                bytes[spare / 8] |= 1 << UInt8(spare % 8)
                #expect(CellBitmap(cellCount: cellCount, bytes: bytes) == nil)
            }
        }
    }

    @Test func theFirstCellIsTheLowestBit() {
        var bitmap = CellBitmap(cellCount: 10)
        bitmap.insert(CellIndex(0))
        bitmap.insert(CellIndex(9))
        #expect(bitmap.bytes == [0b0000_0001, 0b0000_0010])
    }

    @Test func cellsOutsideAreABug() async {
        await #expect(processExitsWith: .failure) {
            var bitmap = CellBitmap(cellCount: 8)
            bitmap.insert(CellIndex(8))
        }
    }
}
