internal import PetalsCore
internal import PetalsStore

/// Divides the memory for read-ahead among all streams that are being read at the moment, of
/// whichever files.
final class ReadAheadShare: Sendable {
    private struct Use {
        var streams: Int
        var at: Instant
    }

    private struct State {
        var uses: [ObjectIdentifier: Use] = [:]
        var prunedAt: Instant = 0
    }

    /// How long a file counts after its last read.
    static let restSeconds: Instant = 2

    private let bytesMax: Int
    private let state = UnfairLock(State())

    init(bytesMax: Int) {
        self.bytesMax = bytesMax
    }

    /// How far ahead each of a reader's streams may fetch: an equal part of all, and at least one
    /// request of the kernel.
    func window(for reader: ObjectIdentifier, streams: Int, now: Instant) -> Int {
        let all = state.withLock { state -> Int in
            state.uses[reader] = Use(streams: max(streams, 1), at: now)
            if now - state.prunedAt > Self.restSeconds / 4 {
                state.uses = state.uses.filter { now - $0.value.at <= Self.restSeconds }
                state.prunedAt = now
            }
            return state.uses.values.reduce(0) { $0 + $1.streams }
        }
        return min(
            max(bytesMax / all, Limits.kernelReadBytesMax), Limits.readAheadBytesMax)
    }

    /// A reader reads no more.
    func forget(_ reader: ObjectIdentifier) {
        state.withLock { $0.uses[reader] = nil }
    }
}
