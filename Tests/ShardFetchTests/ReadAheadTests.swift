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
    static let window = Limits.readAheadBytesMax

    /// Reads mebibytes one after the other; what is dropped meanwhile.
    private static func read(
        _ ahead: inout ReadAhead, at start: Int, times: Int = 1
    ) -> [Range<Int>] {
        (0..<times).flatMap { number in
            let first = start + number * mib
            return ahead.next(after: first..<first + mib, windowMax: window).dropped
        }
    }

    @Test func aSequentialReaderIsKeptAheadOf() {
        let size = 200 * Self.mib
        var ahead = ReadAhead(size: size)
        var end = 0
        var fetched = 0..<0
        var behind = 0
        for start in stride(from: 0, to: size, by: 128 << 10) {
            let read = start..<min(start + 128 << 10, size)
            let range = ahead.next(after: read, windowMax: Self.window).fetch
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
        let range = ahead.next(after: 0..<4096, windowMax: Self.window).fetch
        #expect(range.isEmpty)
        let second = ahead.next(after: 4096..<8192, windowMax: Self.window).fetch
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
            let range = ahead.next(
                after: next[stream]..<next[stream] + 256 << 10, windowMax: Self.window
            ).fetch
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
                let range = ahead.next(after: start..<start + 128 << 10, windowMax: Self.window)
                    .fetch
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
            let range = ahead.next(after: position..<end, windowMax: Self.window).fetch
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
            fetched += ahead.next(after: start..<start + 4096, windowMax: Self.window).fetch.count
        }
        // By chance a few reads lie near an earlier one.
        #expect(fetched < 2000 * 64 << 10, "seed \(seed): \(fetched / 2000) bytes a read")
    }

    /// A reader that jumps takes along what was to be fetched for it where it was.
    @Test func whatAReaderTurnedAwayFromIsDropped() {
        var ahead = ReadAhead(size: 1 << 34)
        #expect(Self.read(&ahead, at: 0, times: 40) == [])
        #expect(ahead.streamCount == 1)
        let dropped = Self.read(&ahead, at: 1 << 33, times: 40)
        #expect(dropped.count == 1)
        #expect(dropped.first?.lowerBound == 40 * Self.mib)
        #expect((32 * Self.mib...Self.window).contains(dropped.first?.count ?? 0))
        #expect(ahead.streamCount == 1)
        // Back again: as a new stream.
        #expect(Self.read(&ahead, at: 40 * Self.mib, times: 2) == [])
        #expect(ahead.streamCount == 2)
    }

    /// Random reads end a stream too, and nothing is dropped twice.
    @Test func randomReadsDropAStream() {
        var generator = SeededGenerator(seed: 5)
        var ahead = ReadAhead(size: 1 << 40)
        _ = Self.read(&ahead, at: 0, times: 30)
        let dropped = (0..<100).flatMap { _ in
            Self.read(&ahead, at: Int.random(in: 1 << 34..<1 << 39, using: &generator))
        }
        #expect(dropped.count == 1)
        #expect(ahead.streamCount == 0)
    }

    /// Thirty-two threads that take turns in any order keep their streams.
    @Test(arguments: 0..<4 as Range<UInt64>)
    func takingTurnsDropsNothing(_ seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        var ahead = ReadAhead(size: 1 << 40)
        let starts = (0..<Limits.streamsPerFileMax).map { $0 << 34 }
        for turn in 0..<50 {
            for start in starts.shuffled(using: &generator) {
                let dropped = Self.read(&ahead, at: start + turn * Self.mib)
                #expect(dropped.isEmpty, "seed \(seed), turn \(turn)")
            }
        }
        #expect(ahead.streamCount == Limits.streamsPerFileMax)
    }

    /// However many streams there are, their windows fit into the memory for them.
    @Test(arguments: [1, 2, 3, 16, 64])
    func windowsShareTheMemory(files: Int) {
        let share = ReadAheadShare(bytesMax: 64 * Self.mib)
        let readers = (0..<files).map { _ in Reader() }
        var windows: [Int] = []
        for round in 0..<2 {
            windows = readers.map {
                share.window(for: ObjectIdentifier($0), streams: 1, now: Double(round) / 10)
            }
        }
        #expect(windows.allSatisfy { $0 == 64 * Self.mib / files })
        // All but one stop: it has all of it again.
        let later = share.window(for: ObjectIdentifier(readers[0]), streams: 1, now: 10)
        #expect(later == 64 * Self.mib)
        for reader in readers.dropFirst() { share.forget(ObjectIdentifier(reader)) }
        #expect(share.window(for: ObjectIdentifier(readers[0]), streams: 200, now: 10) == Self.mib)
        withExtendedLifetime(readers) {}
    }

    private final class Reader {}
}
