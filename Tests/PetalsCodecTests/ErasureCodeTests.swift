import PetalsCore
import PetalsTesting
import Testing

@testable import PetalsCodec

/// Goal: any k of n columns give all n.
///
/// Method: invert every k-subset of the matrices in use; code and decode against Reed-Solomon
/// written with nothing but shifts (polynomial 0x11d).
@Suite struct ErasureCodeTests {
    static func slowMultiply(_ a: UInt8, _ b: UInt8) -> UInt8 {
        var (product, a, b) = (0, Int(a), Int(b))
        while b > 0 {
            if b & 1 == 1 { product ^= a }
            a <<= 1
            if a & 0x100 != 0 { a ^= 0x11D }
            b >>= 1
        }
        return UInt8(product)
    }

    static func slowInverse(_ a: UInt8) -> UInt8 {
        (UInt8(1)...255).first { slowMultiply(a, $0) == 1 } ?? 0
    }

    static func slowParity(_ data: [[UInt8]], columns: Int) -> [[UInt8]] {
        (data.count..<columns).map { i in
            let coefficients = data.indices.map { slowInverse(UInt8(i ^ $0)) }
            return data[0].indices.map { at in
                data.indices.reduce(UInt8(0)) {
                    $0 ^ slowMultiply(coefficients[$1], data[$1][at])
                }
            }
        }
    }

    /// All subsets of `count` of `0..<of`, or a seeded sample where there are more than 5000.
    static func subsets(of: Int, count: Int, random: inout SeededGenerator) -> [[Int]] {
        let combinations = (0..<count).reduce(1) { $0 * (of - $1) / ($1 + 1) }
        if combinations > 5000 {
            return (0..<5000).map { _ in
                Array((0..<of).shuffled(using: &random).prefix(count)).sorted()
            }
        }
        var found: [[Int]] = []
        func extend(_ chosen: [Int], from next: Int) {
            if chosen.count == count { return found.append(chosen) }
            for column in next..<max(next, of - (count - chosen.count) + 1) {
                extend(chosen + [column], from: column + 1)
            }
        }
        extend([], from: 0)
        return found
    }

    @Test(arguments: 1...16)
    func everySubsetIsInvertible(k: Int) {
        let n = max(k + 2, ceilDivide(3 * k, 2))
        let seed = UInt64.random(in: 0...UInt64.max)
        var random = SeededGenerator(seed: seed)
        let code = ErasureCode(dataColumns: k, columns: n)
        for subset in Self.subsets(of: n, count: k, random: &random) {
            #expect(code.inverse(ofRows: subset) != nil, "\(k)/\(n) \(subset), seed \(seed)")
        }
    }

    @Test(arguments: [(1, 2), (1, 3), (2, 4), (3, 5), (4, 6), (7, 11), (16, 24), (32, 64)])
    func parityIsTheSlowModels(k: Int, n: Int) {
        let code = ErasureCode(dataColumns: k, columns: n)
        for length in [0, 1, 15, 31, 32, 33, 63, 64, 65, 127, 200] {
            let data = (0..<k).map { lcg(seed: UInt64($0), count: length) }
            #expect(code.parity(of: data) == Self.slowParity(data, columns: n))
        }
    }

    /// More losses than the cache of decode tables holds, twice, so that it is emptied on the way.
    @Test(arguments: [(1, 3), (2, 4), (3, 5), (4, 8), (5, 8)])
    func everySubsetGivesEverything(k: Int, n: Int) {
        var random = SeededGenerator(seed: 1)
        let code = ErasureCode(dataColumns: k, columns: n)
        let data = (0..<k).map { lcg(seed: UInt64($0), count: 77) }
        let all = data + code.parity(of: data)
        for _ in 0..<2 {
            for subset in Self.subsets(of: n, count: k, random: &random) {
                // Neither the order of what is there nor of what is wanted matters.
                let available = subset.reversed().map { (column: $0, bytes: all[$0]) }
                let wanted = Array((0..<n).reversed())
                let back = code.reconstruct(available: available, wanted: wanted)
                #expect(back == wanted.map { all[$0] })
                #expect(code.reconstruct(available: available, wanted: []) == [])
                #expect(code.reconstruct(available: available, wanted: [0]) == [all[0]])
            }
        }
    }

    @Test(arguments: [1, 63, 16_384, 16_385, 262_144])
    func lengths(length: Int) {
        let code = ErasureCode(dataColumns: 4, columns: 6)
        let data = (0..<4).map { lcg(seed: UInt64($0), count: length) }
        let all = data + code.parity(of: data)
        let back = code.reconstruct(
            available: [1, 3, 4, 5].map { ($0, all[$0]) }, wanted: [2, 0])
        #expect(same(back[0], data[2]) && same(back[1], data[0]))
    }

    @Test func geometriesShareTheirCode() throws {
        for round in 0..<3 {
            for k in 1...20 {
                for n in [k + 1, k + 2, k + 9, k + 12] {
                    let geometry = try BlobGeometry(
                        storedLength: 1000 + round, dataShards: k, groupShards: n, rowsPerGroup: 1)
                    let code = ErasureCode.shared(for: geometry)
                    #expect(code.dataColumns == k && code.columns == n)
                    #expect(code === ErasureCode.shared(for: geometry))
                }
            }
        }
    }

    @Test func misuseIsABug() async {
        await #expect(processExitsWith: .failure) {
            _ = ErasureCode(dataColumns: 2, columns: 4).parity(of: [[1]])
        }
        await #expect(processExitsWith: .failure) {
            _ = ErasureCode(dataColumns: 2, columns: 4).reconstruct(
                available: [(0, [1]), (0, [1])], wanted: [1])
        }
    }
}
