internal import PetalsCore

/// What is left of the disk, as far as it can be known between two questions to the system.
///
/// A value: it asks nobody. It errs on the safe side: what the system said, less what was promised
/// to cells and not written yet when it said so, less what was promised since. What is evicted
/// counts only when the system says so.
struct FreeSpace: Sendable {
    /// Bytes promised between two questions: 16 cells, so that it is soon noticed when somebody
    /// else fills the disk.
    static let bytesBetweenQuestions = 4 << 20
    /// The same for a store that is written slowly.
    static let timeBetweenQuestions = Duration.milliseconds(100)
    /// Room for what is written besides cells between two questions: their hashes, 512 bytes for
    /// each, the trees of new shards, and the registry's log.
    static let marginBytes = 256 << 10

    /// What was promised when the system was asked.
    struct Question: Sendable {
        /// Bytes of cells that were promised and not written.
        fileprivate let pending: Int
        /// All bytes that had been promised by then.
        fileprivate let promised: Int
    }

    /// Bytes of the disk that cached cells leave free; where it is 0, nobody needs to ask.
    let floor: Int
    /// Whether evicting did not help: nothing more is evicted until the next ordinary question.
    ///
    /// Some file systems show space as free only seconds after it was given back; a whole cache
    /// would go before the first of it showed.
    private(set) var isResting = false
    private(set) var known: Int?
    private var askedAt: ContinuousClock.Instant?
    private var promised = 0
    private var promisedBefore = 0

    /// Makes the account of a disk that nobody has asked yet.
    init(floor: Int) {
        self.floor = floor
    }

    /// The floor where none is given: 1 GiB, or 5 % of a smaller disk.
    ///
    /// 1 GiB is what the rest of a system needs to go on: logs, updates, temporary files. Of a disk
    /// of 8 GB that would be an eighth; 5 % is what ext4 keeps back for such ends.
    static func defaultFloor(diskSize: Int) -> Int { min(1 << 30, diskSize / 20) }

    /// Whether what is known is too old, or too much was promised on it.
    func needsQuestion(now: ContinuousClock.Instant) -> Bool {
        guard floor > 0 else { return false }
        guard let askedAt, known != nil else { return true }
        return now - askedAt >= Self.timeBetweenQuestions
            || promised - promisedBefore >= Self.bytesBetweenQuestions
    }

    /// Notes what is promised, just before the system is asked.
    func question(pending: Int) -> Question { Question(pending: pending, promised: promised) }

    /// Takes the system's answer.
    ///
    /// What was promised while it answered may or may not be in it; it is taken off either way.
    mutating func take(
        _ free: Int, to question: Question, now: ContinuousClock.Instant, isOrdinary: Bool
    ) {
        known = free - question.pending - (promised - question.promised)
        askedAt = now
        promisedBefore = promised
        if isOrdinary { isResting = false }
    }

    /// Notes that a cell was given room.
    mutating func promise(_ bytes: Int) {
        promised += bytes
        known? -= bytes
    }

    /// Notes that evicting did not help.
    mutating func rest() { isResting = true }

    /// Bytes that have to be given back before a cell of `length` bytes leaves the floor alone.
    func missing(for length: Int) -> Int {
        guard floor > 0, let known else { return 0 }
        return max(0, floor + Self.marginBytes + length - known)
    }
}

/// The size of a disk and what of it is free.
package struct DiskSpace: Hashable, Sendable {
    /// Bytes of the whole file system.
    package let size: Int
    /// Bytes that this process may still write (`f_bavail` of statvfs(3)).
    package let free: Int

    /// Makes the answer of a disk; numbers that no disk has are cut to what sums can bear.
    package init(size: Int, free: Int) {
        self.size = min(max(size, 0), Self.bytesMax)
        self.free = min(max(free, 0), Self.bytesMax)
    }

    /// An exbibyte: sums of a few such numbers are far from `Int.max`.
    static let bytesMax = 1 << 60
}

/// How the store asks about its disk; tests answer themselves.
struct DiskProbe: Sendable {
    /// Asks how much of the disk under a folder is free.
    let readSpace: @Sendable (_ folder: String) throws(PetalsError) -> DiskSpace
    /// Tells the time.
    let now: @Sendable () -> ContinuousClock.Instant

    /// The real disk and the real time.
    static let system = DiskProbe(
        readSpace: { (folder) throws(PetalsError) in try Disk.readSpace(folder) },
        now: { ContinuousClock.now })
}
