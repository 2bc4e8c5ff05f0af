internal import PetalsCore

/// How fast what is sent to one peer leaves this process, and how large a bulk frame may be for it.
///
/// A demand read waits for the frame before it. On a slow line 64 KiB are long enough; on a fast
/// one a whole cell is gone in a millisecond and saves three quarters of the work per frame. So a
/// bulk frame is what leaves in 20 ms, at least `Limits.bulkFrameLeavesMax` leaves and at most a
/// cell.
struct DrainRate {
    static let frameSeconds: Instant = 0.02
    /// Bytes a second below which a line is worth sparing: 128 Mbit/s.
    static let slowBytesPerSecond = 16e6

    private var bytesPerSecond = 0.0
    private var stretchStart: Instant = 0
    private var stretchBytes = 0

    /// Bytes are on their way where nothing was.
    mutating func begin(now: Instant) {
        stretchStart = now
        stretchBytes = 0
    }

    /// Bytes have left.
    mutating func sent(_ bytes: Int, now: Instant) {
        stretchBytes += bytes
        // On a fast line a stretch is over in less than a millisecond.
        guard now - stretchStart >= 0.0002, stretchBytes >= Limits.cellBytes else { return }
        let sample = Double(stretchBytes) / (now - stretchStart)
        bytesPerSecond += (sample - bytesPerSecond) / 4
        begin(now: now)
    }

    /// Whether the line is known to be a slow one.
    var isSlow: Bool { bytesPerSecond > 0 && bytesPerSecond < Self.slowBytesPerSecond }

    /// Leaves of a bulk frame.
    var bulkFrameLeaves: Int {
        let leaves = bytesPerSecond * Self.frameSeconds / Double(Limits.leafBytes)
        return Int(
            min(max(leaves, Double(Limits.bulkFrameLeavesMax)), Double(Limits.leavesPerCell)))
    }
}
