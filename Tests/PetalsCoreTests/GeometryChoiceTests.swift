import PetalsCore
import PetalsTesting
import Testing

/// The shape that publishing chooses, and shapes that a document may not have.
@Suite struct GeometryChoiceTests {
    private static let sizes: [Int] = {
        var generator = SeededGenerator(seed: 6)
        let edges = [
            1, 65_536, 49_999_999, 50_000_000, 99_999_999, 100_000_000, 799_999_999,
            800_000_000, 1 << 30, 3_195_011_072, 3_195_011_073, 1 << 40, Limits.blobBytesMax,
        ]
        return edges
            + (0..<2000).map { _ in
                1 << Int.random(in: 0..<44, using: &generator)
                    + Int.random(in: 0..<1 << 30, using: &generator)
            }.filter { $0 <= Limits.blobBytesMax }
    }()

    @Test func shardsOfLargeFilesHaveAGoodSize() throws {
        for size in Self.sizes {
            let geometry = try BlobGeometry.standard(storedLength: size)
            let (k, n) = (geometry.dataShards, geometry.groupShards)
            #expect(k == min(max(size / 50_000_000, 1), 16))
            #expect(n == max(k + 2, (3 * k + 1) / 2))
            let first = geometry.shardLength(ShardIndex(0))
            #expect(first <= 200_000_000)
            if size >= 50_000_000 { #expect(first >= 49_999_000, "\(size)") }
            // The last group takes what is left; up to 500 GB that is still a good size.
            let last = geometry.shardLength(ShardIndex(geometry.shardCount - 1))
            #expect(last <= 200_000_000)
            if (50_000_000...500_000_000_000).contains(size) {
                #expect(last >= 49_999_000, "\(size)")
            }
        }
    }

    @Test func smallBlobsAreReplicated() throws {
        let geometry = try BlobGeometry.standard(storedLength: 70_000)
        #expect(geometry.dataShards == 1)
        #expect(geometry.groupShards == 3)
        #expect(geometry.groupCount == 1)
        #expect(geometry.shardLength(ShardIndex(2)) == 5 * Limits.leafBytes)
    }

    @Test func wishedShapesAreTaken() throws {
        let geometry = try BlobGeometry.standard(
            storedLength: 253_000_000, dataShards: 4, groupShards: 7)
        #expect(geometry.dataShards == 4 && geometry.groupShards == 7)
        #expect(try BlobGeometry.standard(storedLength: 1, dataShards: 4).groupShards == 6)
    }

    @Test(
        arguments: [
            (0, nil, nil), (-1, nil, nil), (Int.min, nil, nil), (Int.max, nil, nil),
            (Limits.blobBytesMax + 1, nil, nil), (1000, 0, nil), (1000, -1, nil), (1000, 33, nil),
            (1000, Int.max, nil), (1000, Int.min, nil), (1000, Int.max, Int.max), (1000, 4, 4),
            (1000, 4, 3), (1000, 4, 65), (1000, 4, Int.max), (1000, 4, Int.min),
            (Limits.blobBytesMax, 1, 64),
        ] as [(Int, Int?, Int?)])
    func impossibleWishesAreRefused(length: Int, k: Int?, n: Int?) {
        #expect(throws: PetalsError.self) {
            try BlobGeometry.standard(storedLength: length, dataShards: k, groupShards: n)
        }
    }

    @Test func everyFieldIsChecked() {
        let hostile = [
            Int.min, -1, 0, 1, 2, 32, 33, 64, 65, 762, 763, Limits.blobBytesMax, Int.max,
        ]
        for length in hostile {
            for k in hostile {
                for n in hostile {
                    for rows in hostile {
                        let made = try? BlobGeometry(
                            storedLength: length, dataShards: k, groupShards: n, rowsPerGroup: rows)
                        // A refusal is as good as a shape that keeps its promises.
                        guard let made else { continue }
                        guard (1...Limits.shardsPerBlobMax).contains(made.shardCount),
                            (1...Limits.cellBytes).contains(made.lastCellLength),
                            made.lastCellLength % Limits.leafBytes == 0, n > k, k >= 1
                        else {
                            Issue.record("\(made)")
                            continue
                        }
                    }
                }
            }
        }
    }
}
