internal import PetalsCore

/// The open files of the store: at most `limit`, the least recently used closed first.
///
/// A file that somebody is reading stays open for him after the table let go of it, so the number
/// of descriptors is bounded by the limit and the threads together.
final class FileTable: Sendable {
    /// Which file of a shard.
    enum Kind: UInt8, Sendable {
        case data, tree, source
    }

    struct Key: Hashable, Sendable {
        let blob: Int32
        let shard: Int32
        let kind: Kind
    }

    private struct Entry: Sendable {
        let file: DiskFile
        var lastUse: UInt64
    }

    private struct State: Sendable {
        var entries: [Key: Entry] = [:]
        var uses: UInt64 = 0
        /// Grows when files are let go of, so that one opened before that is not entered after.
        var epoch = 0
    }

    private let limit: Int
    private let state = UnfairLock(State())

    /// Makes an empty table.
    ///
    /// - Parameter limit: 256 leaves most of the usual 1024 descriptors to sockets.
    init(limit: Int = 256) {
        self.limit = limit
    }

    /// The open file of a key; opened by `open` where it is not.
    ///
    /// `open` runs outside of the lock; of two that open the same file at once, one is used by its
    /// caller alone.
    func file(
        _ key: Key, open: () throws(PetalsError) -> DiskFile?
    ) throws(PetalsError) -> DiskFile? {
        let (known, epoch) = state.withLock { state -> (DiskFile?, Int) in
            state.uses += 1
            state.entries[key]?.lastUse = state.uses
            return (state.entries[key]?.file, state.epoch)
        }
        if let known { return known }
        guard let file = try open() else { return nil }
        state.withLock { state in
            guard state.epoch == epoch else { return }
            if state.entries.count >= limit, state.entries[key] == nil,
                let oldest = state.entries.min(by: { $0.value.lastUse < $1.value.lastUse })
            {
                state.entries[oldest.key] = nil
            }
            state.entries[key] = Entry(file: file, lastUse: state.uses)
        }
        return file
    }

    /// Lets go of some files; called after they were removed by name.
    func forget(where isMeant: (Key) -> Bool) {
        state.withLock { state in
            state.epoch += 1
            state.entries = state.entries.filter { !isMeant($0.key) }
        }
    }

    /// How many files are open.
    var count: Int { state.withLock { $0.entries.count } }
}
