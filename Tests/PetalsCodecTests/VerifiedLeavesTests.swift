import PetalsCore
import PetalsTesting
import Testing

@testable import PetalsCodec

/// Goal: only the right bytes become `VerifiedLeaves`.
///
/// Method: a blob of three rows in two groups, whose last cells have 5 leaves; every range of
/// leaves of a cell; every leaf damaged; every number wrong.
@Suite struct VerifiedLeavesTests {
    let geometry: BlobGeometry
    let rows: [SealedRow]
    let layers: [CellLayer]
    let stream: [UInt8]

    init() throws {
        stream = lcg(seed: 5, count: 4 * Limits.cellBytes + 9 * Limits.leafBytes + 77)
        let geometry = try BlobGeometry(
            storedLength: stream.count, dataShards: 2, groupShards: 4, rowsPerGroup: 2)
        let pipeline = BlockPipeline(geometry: geometry, blobKey: try key(7))
        var builder = TreeBuilder(geometry: geometry)
        var rows: [SealedRow] = []
        for row in 0..<geometry.rowCount {
            let range = pipeline.streamRange(of: RowIndex(row))
            rows.append(pipeline.sealRow(RowIndex(row), stream: Array(stream[range])))
        }
        // In any order.
        for row in rows.reversed() {
            #expect(!builder.isComplete)
            builder.add(row)
        }
        #expect(builder.isComplete)
        self.geometry = geometry
        self.rows = rows
        layers = builder.layers()
    }

    func layer(_ address: CellAddress) -> CellLayer { layers[address.shard.rawValue] }

    @Test func layersFoldToRootsOnly() throws {
        #expect(layers.count == geometry.shardCount)
        for layer in layers {
            func made(_ shard: ShardIndex, _ hashes: [Digest], _ root: Digest) -> CellLayer? {
                CellLayer(shard: shard, cellHashes: hashes, geometry: geometry, root: root)
            }
            let (shard, hashes) = (layer.shard, layer.cellHashes)
            #expect(made(shard, hashes, layer.root) == layer)
            #expect(made(shard, hashes, sha256([])) == nil)
            #expect(made(shard, [], layer.root) == nil)
            #expect(made(shard, Array(hashes.dropLast()), layer.root) == nil)
            #expect(made(shard, hashes + [layer.root], layer.root) == nil)
            // Not the root itself in place of the cells under it.
            if hashes.count > 1 { #expect(made(shard, [layer.root], layer.root) == nil) }
            #expect(made(ShardIndex(geometry.shardCount), hashes, layer.root) == nil)
            #expect(made(ShardIndex(-1), hashes, layer.root) == nil)
            for index in hashes.indices {
                var wrong = hashes
                wrong[index] = sha256([])
                #expect(made(shard, wrong, layer.root) == nil)
            }
        }
    }

    @Test func everyRangeOfLeavesVerifies() throws {
        for whole in [rows[0].cells[0], rows[1].cells[3], rows[2].cells[1], rows[2].cells[2]] {
            let count = geometry.leafCount(whole.address)
            #expect(whole.leaves == 0..<count)
            #expect(count == (whole.address.shard.rawValue < 4 ? 16 : 5))
            for range in ranges(between: Array(0...count)) where !range.isEmpty {
                let part = whole.part(range)
                let proof = HashTree.rangeProof(leafHashes: whole.leafHashes, range: range)
                let verified = layer(whole.address).verify(
                    address: whole.address, leaves: range, bytes: part.bytes, proof: proof,
                    leafCount: count)
                #expect(verified?.leafHashes == part.leafHashes)
                #expect(verified.map { same($0.bytes, part.bytes) } == true)
                let start = range.lowerBound * Limits.leafBytes
                let end = range.upperBound * Limits.leafBytes
                #expect(same(part.bytes, Array(whole.bytes[start..<end])))
            }
        }
    }

    @Test func oneFlippedByteInAnyLeafIsRejected() throws {
        var random = SeededGenerator(seed: 11)
        let whole = rows[0].cells[1]
        for leaf in 0..<16 {
            for range in [0..<16, leaf..<leaf + 1, leaf / 4 * 4..<leaf / 4 * 4 + 4] {
                let part = whole.part(range)
                let proof = HashTree.rangeProof(leafHashes: whole.leafHashes, range: range)
                let inLeaf = [
                    0, 1, Limits.leafBytes - 1,
                    Int.random(in: 0..<Limits.leafBytes, using: &random),
                ]
                for position in inLeaf {
                    var bytes = part.bytes
                    bytes[part.rangeInBytes(ofLeaf: leaf).lowerBound + position] ^=
                        1 << UInt8.random(in: 0..<8, using: &random)
                    #expect(
                        layer(whole.address).verify(
                            address: whole.address, leaves: range, bytes: bytes, proof: proof,
                            leafCount: 16) == nil)
                    #expect(
                        VerifiedLeaves.checked(
                            address: whole.address, leaves: range, bytes: bytes,
                            leafHashes: part.leafHashes) == nil)
                }
            }
        }
    }

    @Test func wrongNumbersAndProofsAreRejected() throws {
        let whole = rows[0].cells[0]
        let range = 4..<6
        let part = whole.part(range)
        let proof = HashTree.rangeProof(leafHashes: whole.leafHashes, range: range)
        let address = whole.address
        func verify(
            _ address: CellAddress, _ leaves: Range<Int>, _ bytes: [UInt8], _ proof: [Digest],
            _ count: Int = 16
        ) -> VerifiedLeaves? {
            layer(whole.address).verify(
                address: address, leaves: leaves, bytes: bytes, proof: proof, leafCount: count)
        }
        #expect(verify(address, range, part.bytes, proof) == part)
        for wrong in [[], Array(proof.dropLast()), proof + [proof[0]], proof.reversed()] {
            #expect(verify(address, range, part.bytes, wrong) == nil)
        }
        for leaves in [5..<7, 0..<2, 4..<5, 4..<7, 4..<4, 15..<17, -2..<0, 16..<18] {
            #expect(verify(address, leaves, part.bytes, proof) == nil)
        }
        for count in [-1, 0, 1, 6, 15, 17, Int.max] {
            #expect(verify(address, range, part.bytes, proof, count) == nil)
        }
        for bytes in [[], Array(part.bytes.dropLast()), part.bytes + [0]] {
            #expect(verify(address, range, bytes, proof) == nil)
        }
        for (shard, cell) in [(0, 1), (0, 2), (0, -1), (1, 0), (-1, 0), (99, 0)] {
            let other = CellAddress(shard: ShardIndex(shard), cell: CellIndex(cell))
            #expect(verify(other, range, part.bytes, proof) == nil)
        }
    }

    @Test func readingBackChecksEveryNumber() {
        let whole = rows[0].cells[0]
        let part = whole.part(2..<4)
        func checked(_ leaves: Range<Int>, _ bytes: [UInt8], _ hashes: [Digest]) -> VerifiedLeaves?
        {
            VerifiedLeaves.checked(
                address: whole.address, leaves: leaves, bytes: bytes, leafHashes: hashes)
        }
        #expect(checked(2..<4, part.bytes, part.leafHashes) == part)
        #expect(checked(2..<4, part.bytes, part.leafHashes.reversed()) == nil)
        #expect(checked(2..<4, part.bytes, [part.leafHashes[0]]) == nil)
        #expect(checked(2..<5, part.bytes, part.leafHashes) == nil)
        #expect(checked(2..<2, [], []) == nil)
        #expect(checked(15..<17, part.bytes, part.leafHashes) == nil)
        #expect(checked(-1..<1, part.bytes, part.leafHashes) == nil)
        #expect(checked(2..<4, Array(part.bytes.dropLast()), part.leafHashes) == nil)
        #expect(checked(2..<4, part.bytes, [.zero, .zero]) == nil)
    }

    @Test func anyTwoCellsOfARowRebuildTheOthers() throws {
        for row in rows {
            for first in 0..<4 {
                for second in 0..<4 where second != first {
                    for wanted in 0..<4 {
                        let target = row.cells[wanted]
                        let rebuilt = try VerifiedLeaves.rebuilt(
                            target.address, from: [row.cells[first], row.cells[second]],
                            layer: layer(target.address), geometry: geometry)
                        #expect(rebuilt.leafHashes == target.leafHashes)
                        #expect(same(rebuilt.bytes, target.bytes))
                    }
                }
            }
        }
    }

    @Test func rebuildingRefusesWhatDoesNotFit() throws {
        let target = rows[0].cells[0].address
        func code(_ sources: [VerifiedLeaves], _ target: CellAddress) -> PetalsError.Code? {
            do throws(PetalsError) {
                _ = try VerifiedLeaves.rebuilt(
                    target, from: sources, layer: layer(rows[0].cells[0].address),
                    geometry: geometry)
                return nil
            } catch {
                return error.code
            }
        }
        let cells = rows[0].cells
        #expect(code([cells[1]], target) == .unavailable)
        #expect(code([], target) == .unavailable)
        #expect(code([cells[1], cells[1]], target) == .badInput)
        #expect(code([cells[1], rows[1].cells[2]], target) == .badInput)
        #expect(code([cells[1], rows[2].cells[2]], target) == .badInput)
        #expect(code([cells[1], cells[2].part(0..<15)], target) == .badInput)
        let absent = CellAddress(shard: ShardIndex(8), cell: CellIndex(0))
        #expect(code([cells[1], cells[2]], absent) == .badInput)
        // Parity that its publisher made of other data: every leaf verifies, the row does not fit.
        let false2 = try #require(
            VerifiedLeaves.checked(
                address: cells[2].address, leaves: cells[3].leaves, bytes: cells[3].bytes,
                leafHashes: cells[3].leafHashes))
        #expect(code([cells[1], false2], target) == .corrupt)
    }
}
