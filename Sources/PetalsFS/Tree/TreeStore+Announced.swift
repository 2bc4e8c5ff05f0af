internal import PetalsCore
internal import Synchronization

// Models that a catalogue lists and whose manifest is fetched when somebody opens them. `ls` and
// `stat` show them by what the catalogue says; to open a file, to list a directory or to look into
// one needs the manifest.

extension TreeStore {
    /// Seconds that an open waits for a manifest; then it is refused, as of any model whose
    /// manifest has not arrived.
    static let arrivalSeconds = 5

    /// The model whose manifest has to arrive before `inode` can be opened or looked into; nil
    /// where none has to.
    func awaited(_ inode: Inode) -> MountedModel? {
        let shown = state.withLock { state in
            state.tree(of: inode).flatMap { state.isRetired($0) ? nil : $0 }
        }
        guard let tree = shown, tree.isAnnounced, tree.node(of: inode) != nil,
            tree.model.refusal == nil
        else { return nil }
        return tree.model
    }

    /// Answers a request when a manifest has arrived, or when it has not in time.
    ///
    /// The kernel asks once more where it hears that a name is stale, and finds then what has
    /// arrived: a directory has other inodes with its manifest than without.
    func answer(_ reply: consuming FuseReply, whenArrived model: MountedModel, inode: Inode) {
        var slot: FuseReply? = consume reply
        Task { [self] in
            let fetching = Task { await model.fetch() }
            let limit = Task {
                // Cancelled where the manifest came first.
                try? await Task.sleep(for: .seconds(Self.arrivalSeconds))
                fetching.cancel()
            }
            await fetching.value
            limit.cancel()
            let isHere = awaited(inode) == nil
            if !isHere { logPending(model) }
            if let reply = slot.take() { reply.answer(error: isHere ? .stale : .tryAgain) }
        }
    }
}

extension TreeStore.State {
    /// Whether a version is not shown any more, and only held by the kernel.
    func isRetired(_ tree: ModelTree) -> Bool { retired.contains(tree.firstInode) }
}
