internal import PetalsCore

/// What to fetch before it is asked for, from what was asked so far; one for each file.
///
/// It follows up to `Limits.streamsPerFileMax` streams in one file at a time: sixteen threads that
/// each read their own part is how inference servers load a file, and several processes share one
/// handle, so streams are told apart by where they read and not by who reads.
///
/// A stream that goes on where it stopped gets 512 KiB ahead, then twice as much each time it has
/// used half of it, up to `Limits.readAheadBytesMax`. A read that continues nothing starts a new
/// stream with nothing ahead, so random reads fetch only what they ask for.
package struct ReadAhead: Sendable {
    private struct Stream {
        /// Where the stream is expected to go on.
        var next: Int
        /// How far ahead of `next` it may fetch.
        var window: Int
        /// The end of what was fetched ahead.
        var fetchedEnd: Int
        var lastUse: Int
    }

    /// The first window, on the second contiguous read.
    package static let windowStart = 512 << 10
    /// How far from where it is expected a read still continues a stream.
    ///
    /// The kernel splits its own read-ahead and sends the parts from several threads: up to eight
    /// requests may pass each other. More would take random small reads for streams.
    package static func slack(_ read: Range<Int>) -> Int {
        min(max(8 * read.count, 64 << 10), 2 << 20)
    }

    private let size: Int
    private let windowMax: Int
    private var streams: [Stream] = []
    private var uses = 0

    /// - Parameter size: bytes of the file.
    package init(size: Int, windowMax: Int = Limits.readAheadBytesMax) {
        self.size = size
        self.windowMax = windowMax
    }

    /// Takes a read of the file into account.
    ///
    /// - Returns: the plaintext range to fetch ahead now; empty when there is none.
    package mutating func next(after read: Range<Int>) -> Range<Int> {
        uses += 1
        guard let index = index(of: read) else {
            start(read)
            return read.upperBound..<read.upperBound
        }
        var stream = streams[index]
        stream.lastUse = uses
        stream.next = max(stream.next, read.upperBound)
        if stream.window == 0 {
            stream.window = Self.windowStart
        } else if stream.fetchedEnd - stream.next <= stream.window / 2 {
            stream.window = min(stream.window * 2, windowMax)
        }
        let from = max(stream.fetchedEnd, stream.next)
        let to = min(stream.next + stream.window, size)
        // In steps, not for every read: what is fetched ahead grows when half of it is used.
        let isWorth = to > from && (from - stream.next <= stream.window / 2 || to == size)
        if isWorth { stream.fetchedEnd = to }
        streams[index] = stream
        return isWorth ? from..<to : from..<from
    }

    private func index(of read: Range<Int>) -> Int? {
        let slack = Self.slack(read)
        return streams.indices.filter { abs(read.lowerBound - streams[$0].next) <= slack }.min {
            abs(streams[$0].next - read.lowerBound) < abs(streams[$1].next - read.lowerBound)
        }
    }

    private mutating func start(_ read: Range<Int>) {
        let stream = Stream(
            next: read.upperBound, window: 0, fetchedEnd: read.upperBound, lastUse: uses)
        if streams.count < Limits.streamsPerFileMax {
            streams.append(stream)
        } else if let oldest = streams.indices.min(by: {
            streams[$0].lastUse < streams[$1].lastUse
        }) {
            streams[oldest] = stream
        }
    }
}
