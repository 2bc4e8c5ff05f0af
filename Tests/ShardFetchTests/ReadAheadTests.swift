import PetalsCore
import PetalsTesting
import Testing

@testable import ShardFetch

/// What is fetched ahead, for the ways in which inference servers read files.
///
/// Whatever the pattern, no range goes past the end of the file, and none is fetched twice for one
/// stream.
struct ReadAheadTests {
    static let mib = 1 << 20

    @Test func aSequentialReaderIsKeptAheadOf() {
        let size = 200 * Self.mib
        var ahead = ReadAhead(size: size)
        var end = 0
        var fetched = 0..<0
        var behind = 0
        for start in stride(from: 0, to: size, by: 128 << 10) {
            let read = start..<min(start + 128 << 10, size)
            let range = ahead.next(after: read)
            if !range.isEmpty {
                #expect(range.lowerBound >= end, "overlap at \(start)")
                #expect(range.upperBound <= size)
                #expect(range.upperBound - read.upperBound <= Limits.readAheadBytesMax)
                end = range.upperBound
                fetched = fetched.isEmpty ? range : fetched.lowerBound..<range.upperBound
            }
            if start > Self.mib, read.upperBound > end { behind += 1 }
        }
        #expect(end == size)
        #expect(behind == 0)
        #expect(fetched.lowerBound <= 512 << 10)
    }

    @Test func theFirstReadFetchesNothingAhead() {
        var ahead = ReadAhead(size: 100 * Self.mib)
        let range = ahead.next(after: 0..<4096)
        #expect(range.isEmpty)
        let second = ahead.next(after: 4096..<8192)
        #expect(second.count == ReadAhead.windowStart)
    }

    /// Sixteen threads, each with its own part, taking turns in a random order.
    @Test(arguments: 0..<4 as Range<UInt64>)
    func sixteenStreamsAreEachKeptAheadOf(_ seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let part = 16 * Self.mib
        var ahead = ReadAhead(size: 16 * part)
        var next = (0..<16).map { $0 * part }
        var fetched = (0..<16).map { $0 * part }
        var total = 0
        while let stream = next.indices.filter({ next[$0] < ($0 + 1) * part })
            .randomElement(using: &generator)
        {
            let range = ahead.next(after: next[stream]..<next[stream] + 256 << 10)
            next[stream] += 256 << 10
            total += range.count
            fetched[stream] = max(fetched[stream], range.upperBound)
            #expect(range.upperBound <= 16 * part)
        }
        for stream in 0..<16 { #expect(fetched[stream] >= (stream + 1) * part, "seed \(seed)") }
        // A stream fetches into its successor's part before that one is told apart from it.
        #expect(total <= 16 * part * 3, "seed \(seed): \(total)")
    }

    /// The kernel sends its own read-ahead as requests of 128 KiB, several at a time, in any order.
    @Test(arguments: 0..<8 as Range<UInt64>)
    func reorderedRequestsAreOneStream(_ seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let size = 64 * Self.mib
        var ahead = ReadAhead(size: size)
        var ranges: [Range<Int>] = []
        for batch in stride(from: 0, to: size, by: 8 * 128 << 10) {
            let starts = stride(from: batch, to: batch + 8 * 128 << 10, by: 128 << 10)
            for start in Array(starts).shuffled(using: &generator) {
                let range = ahead.next(after: start..<start + 128 << 10)
                if !range.isEmpty { ranges.append(range) }
            }
        }
        for (one, other) in zip(ranges, ranges.dropFirst()) {
            #expect(one.upperBound <= other.lowerBound, "seed \(seed): \(one) \(other)")
        }
        #expect(ranges.last?.upperBound == size, "seed \(seed)")
    }

    /// Whatever is read, ahead of a single stream nothing is fetched twice or past the end.
    @Test(arguments: 0..<50 as Range<UInt64>)
    func anyPatternStaysInsideTheFile(_ seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let size = Int.random(in: 1...40 * Self.mib, using: &generator)
        var ahead = ReadAhead(size: size)
        var position = 0
        for _ in 0..<300 {
            if generator.chance(0.2) { position = Int.random(in: 0..<size, using: &generator) }
            position = min(position, size - 1)
            let end = min(size, position + Int.random(in: 1...Self.mib, using: &generator))
            let range = ahead.next(after: position..<end)
            #expect(range.lowerBound >= 0 && range.upperBound <= size, "seed \(seed)")
            if !range.isEmpty { #expect(range.lowerBound >= end, "seed \(seed)") }
            position = end
        }
    }

    /// Random reads of a large file fetch little more than they ask for.
    @Test(arguments: 0..<4 as Range<UInt64>)
    func randomReadsFetchLittleAhead(_ seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let size = 8 << 30
        var ahead = ReadAhead(size: size)
        var fetched = 0
        for _ in 0..<2000 {
            let start = Int.random(in: 0..<size - 4096, using: &generator)
            fetched += ahead.next(after: start..<start + 4096).count
        }
        // By chance a few reads lie near an earlier one.
        #expect(fetched < 2000 * 64 << 10, "seed \(seed): \(fetched / 2000) bytes a read")
    }
}
