import PetalsCore
import ShardFetch
import Testing

/// One row of 4 data and 2 parity cells, and every pair of a cell given and one asked for.
struct FreshRowsTests {
    private let geometry: BlobGeometry
    private let blob = Digest(words: (1, 2, 3, 4))
    private let peers = (0..<8).map { Digest(words: (UInt64($0), 0, 0, 0)) }

    init() throws {
        geometry = try BlobGeometry(
            storedLength: 4 * 4 * Limits.cellBytes, dataShards: 4, groupShards: 6, rowsPerGroup: 4)
    }

    private func cell(_ column: Int, row: Int = 0) -> CellAddress {
        geometry.address(row: RowIndex(row), column: column)
    }

    private func ask(
        _ fresh: inout FreshRows, _ address: CellAddress, _ peer: Int, now: Instant,
        isContended: Bool = true
    ) -> Bool {
        fresh.admits(
            address, of: blob, geometry, to: peers[peer], isContended: isContended, now: now)
    }

    @Test("A cell is given once while others wait, and again after a while")
    func once() {
        var fresh = FreshRows()
        #expect(ask(&fresh, cell(0), 0, now: 0))
        #expect(!ask(&fresh, cell(0), 1, now: 1))
        #expect(ask(&fresh, cell(0), 0, now: 2), "who got it may ask for the rest of it")
        #expect(ask(&fresh, cell(0), 1, now: 2 + FreshRows.holdSeconds))
    }

    @Test("Of a row k cells are given, whichever they are", arguments: 0..<6)
    func row(first: Int) {
        var fresh = FreshRows()
        let columns = (0..<6).map { (first + $0) % 6 }
        for (peer, column) in columns.enumerated() {
            #expect(ask(&fresh, cell(column), peer, now: Instant(peer)) == (peer < 4))
        }
        #expect(ask(&fresh, cell(columns[5], row: 1), 5, now: 6), "another row is another matter")
    }

    @Test("Nothing is refused while nobody else waits")
    func idle() {
        var fresh = FreshRows()
        for peer in 0..<8 {
            #expect(ask(&fresh, cell(0), peer, now: Instant(peer), isContended: false))
        }
    }

    @Test("A queue that is empty for a moment is no reason to give twice")
    func grace() {
        var fresh = FreshRows()
        #expect(ask(&fresh, cell(0), 0, now: 0))
        #expect(!ask(&fresh, cell(0), 1, now: 1, isContended: false))
        #expect(ask(&fresh, cell(0), 1, now: 3, isContended: false))
    }

    @Test("What is remembered is bounded")
    func bounded() throws {
        let large = try BlobGeometry(
            storedLength: 100_000 * Limits.cellBytes, dataShards: 1, groupShards: 2,
            rowsPerGroup: 700)
        var fresh = FreshRows()
        for row in 0..<100_000 {
            _ = fresh.admits(
                large.address(row: RowIndex(row), column: 0), of: blob, large, to: peers[0],
                isContended: true, now: 0)
        }
        #expect(fresh.count <= 32_768)
    }
}
