internal import PetalsCore

/// What to fetch before it is asked for, from what was asked so far; one for each file.
///
/// It follows up to `Limits.streamsPerFileMax` streams in one file at a time: sixteen threads that
/// each read their own part is how inference servers load a file, and several processes share one
/// handle, so streams are told apart by where they read and not by who reads.
///
/// A stream that goes on where it stopped gets 512 KiB ahead, then twice as much each time it has
/// used half of it, up to its share of the memory (`ReadAheadShare`). A read that continues nothing
/// starts a new stream with nothing ahead, so random reads fetch only what they ask for. A stream
/// that nobody goes on with while others are read is dropped, and with it what it would have needed
/// next.
package struct ReadAhead: Sendable {
    /// What follows from a read.
    package struct Advice: Equatable, Sendable {
        /// The plaintext range to fetch ahead now; empty when there is none.
        package var fetch: Range<Int>
        /// Ranges that were to be fetched ahead and are not needed any more.
        package var dropped: [Range<Int>] = []
    }

    private struct Stream {
        /// Where the stream is expected to go on.
        var next: Int
        /// How far ahead of `next` it may fetch.
        var window: Int
        /// The end of what was fetched ahead.
        var fetchedEnd: Int
        var lastUse: Int

        /// What was to be fetched ahead and was not read.
        var unread: Range<Int>? { fetchedEnd > next ? next..<fetchedEnd : nil }
    }

    /// The first window, on the second contiguous read.
    package static let windowStart = 512 << 10
    /// Reads elsewhere, for each stream that is being read, after which one that rests is dropped.
    ///
    /// Threads that take turns come back after one read each, give or take what the scheduler does
    /// with them.
    static let restingReads = 8
    /// How far from where it is expected a read still continues a stream.
    ///
    /// The kernel splits its own read-ahead and sends the parts from several threads: up to eight
    /// requests may pass each other. More would take random small reads for streams.
    package static func slack(_ read: Range<Int>) -> Int {
        min(max(8 * read.count, 64 << 10), 2 << 20)
    }

    private let size: Int
    private var streams: [Stream] = []
    private var uses = 0

    /// - Parameter size: bytes of the file.
    package init(size: Int) {
        self.size = size
    }

    /// Streams that go on: those that anything is fetched ahead for.
    package var streamCount: Int { streams.count { $0.window > 0 } }

    /// Takes a read of the file into account.
    ///
    /// - Parameter windowMax: how far ahead one stream may fetch at the moment, in bytes.
    package mutating func next(after read: Range<Int>, windowMax: Int) -> Advice {
        uses += 1
        let nothing = read.upperBound..<read.upperBound
        guard let index = index(of: read) else {
            let dropped = start(read) + dropResting()
            return Advice(fetch: nothing, dropped: dropped)
        }
        var stream = streams[index]
        stream.lastUse = uses
        stream.next = max(stream.next, read.upperBound)
        if stream.window == 0 {
            stream.window = min(Self.windowStart, windowMax)
        } else if stream.fetchedEnd - stream.next <= stream.window / 2 {
            stream.window = min(stream.window * 2, windowMax)
        }
        let from = max(stream.fetchedEnd, stream.next)
        let to = min(stream.next + stream.window, size)
        // In steps, not for every read: what is fetched ahead grows when half of it is used.
        let isWorth = to > from && (from - stream.next <= stream.window / 2 || to == size)
        if isWorth { stream.fetchedEnd = to }
        streams[index] = stream
        return Advice(fetch: isWorth ? from..<to : nothing, dropped: dropResting())
    }

    private func index(of read: Range<Int>) -> Int? {
        let slack = Self.slack(read)
        return streams.indices.filter { abs(read.lowerBound - streams[$0].next) <= slack }.min {
            abs(streams[$0].next - read.lowerBound) < abs(streams[$1].next - read.lowerBound)
        }
    }

    /// Begins a stream, in the place of the one that rests longest where there are enough.
    private mutating func start(_ read: Range<Int>) -> [Range<Int>] {
        let stream = Stream(
            next: read.upperBound, window: 0, fetchedEnd: read.upperBound, lastUse: uses)
        guard streams.count >= Limits.streamsPerFileMax,
            let oldest = streams.indices.min(by: { streams[$0].lastUse < streams[$1].lastUse })
        else {
            streams.append(stream)
            return []
        }
        let unread = streams[oldest].unread
        streams[oldest] = stream
        return unread.map { [$0] } ?? []
    }

    /// Drops the streams that fetched ahead and rest while others go on.
    private mutating func dropResting() -> [Range<Int>] {
        let patience = Self.restingReads * (streamCount + 1)
        var dropped: [Range<Int>] = []
        streams.removeAll { stream in
            guard stream.window > 0, uses - stream.lastUse > patience else { return false }
            if let unread = stream.unread { dropped.append(unread) }
            return true
        }
        return dropped
    }
}
