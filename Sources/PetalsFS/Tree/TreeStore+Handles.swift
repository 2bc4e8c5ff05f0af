internal import Logging
internal import PetalsCore
internal import Synchronization

extension TreeStore {
    /// What a handle stands for.
    enum Handle: Sendable {
        case file(OpenFile)
        /// A listing as it was when the directory was opened: offsets in it stay valid while models
        /// come and go.
        case directory([DirectoryEntry], tree: ModelTree?)
    }

    /// A file that somebody has open.
    package struct OpenFile: Sendable {
        /// Shared by all who have the file open.
        package let content: any FileContent
        let inode: Inode
        let tree: ModelTree?
        /// What the log calls the file.
        package var title: String {
            guard let tree, let node = tree.node(of: inode) else { return Self.controlTitle }
            return tree.path(of: node)
        }

        private static let controlTitle = TreeStore.controlName
    }

    /// What the kernel is told about a new handle.
    package struct OpenedHandle: Hashable, Sendable {
        /// The number for `file`, `entries` and `release`.
        package let handle: UInt64
        /// Made for this open and of unknown size: past the page cache.
        ///
        /// Else cached for ever.
        package let isControl: Bool
    }

    // MARK: Files

    /// Opens a file; `release` ends it.
    ///
    /// - Throws: `Errno.isDirectory` or `.stale`; `.inputOutput`, with a line in the log, where the
    ///   model is refused.
    package func open(_ inode: Inode) throws(Errno) -> OpenedHandle {
        let (tree, known) = state.withLock { state in
            (state.tree(of: inode), state.contents[inode]?.content)
        }
        guard let tree, let node = tree.node(of: inode) else {
            return try openControl(inode, tree: tree)
        }
        guard !tree.nodes[node].isDirectory else { throw .isDirectory }
        if let refusal = tree.model.refusal {
            logger.error("\(tree.path(of: node)) cannot be opened: \(refusal)")
            throw .inputOutput
        }
        guard let entry = tree.entry(of: node) else {
            if state.withLock({ $0.isRetired(tree) }) { throw .stale }
            logPending(tree.model)
            throw .tryAgain
        }
        // The model's closure runs outside the lock; where two opens race, the first one's counts.
        let made: any FileContent =
            if let known {
                known
            } else {
                switch entry.content {
                case .record(let record): tree.model.open(record)
                case .inlined(let bytes): MemoryContent(bytes: bytes)
                }
            }
        let handle: UInt64? = state.withLock { state in
            // Between the locks, the kernel cannot have forgotten an inode that it is opening; but
            // the answer to a broken promise is an error, not a trap.
            guard state.tree(of: inode) != nil else { return nil }
            var shared = state.contents[inode] ?? SharedContent(content: made, opens: 0)
            shared.opens += 1
            state.contents[inode] = shared
            return state.add(
                .file(OpenFile(content: shared.content, inode: inode, tree: tree)), holding: tree)
        }
        guard let handle else { throw .stale }
        return OpenedHandle(handle: handle, isControl: false)
    }

    private func openControl(_ inode: Inode, tree: ModelTree?) throws(Errno) -> OpenedHandle {
        let bytes: [UInt8]
        if let tree {
            bytes = tree.model.status()
        } else if inode == Self.statusInode {
            bytes = status()
        } else if inode == Self.rootInode || inode == Self.controlInode {
            throw .isDirectory
        } else {
            throw .stale
        }
        let file = OpenFile(content: MemoryContent(bytes: bytes), inode: inode, tree: tree)
        let handle = state.withLock { $0.add(.file(file), holding: tree) }
        return OpenedHandle(handle: handle, isControl: true)
    }

    /// The open file of a handle.
    ///
    /// - Throws: `Errno.stale` for a number that is no open file.
    package func file(_ handle: UInt64) throws(Errno) -> OpenFile {
        guard case .file(let file) = state.withLock({ $0.handles[handle] }) else { throw .stale }
        return file
    }

    /// Closes a handle of either kind; a number that is not open does nothing.
    package func release(_ handle: UInt64) {
        // What is let go is destroyed outside the lock: a content may have much to put away.
        let released = state.withLock { state -> (Handle, SharedContent?)? in
            guard let handle = state.handles.removeValue(forKey: handle) else { return nil }
            switch handle {
            case .directory(_, let tree):
                if let tree { state.dereference(tree.firstInode) }
                return (handle, nil)
            case .file(let file):
                if let tree = file.tree { state.dereference(tree.firstInode) }
                guard var shared = state.contents[file.inode] else { return (handle, nil) }
                shared.opens -= 1
                state.contents[file.inode] = shared.opens > 0 ? shared : nil
                return (handle, shared)
            }
        }
        _ = released
    }

    // MARK: Directories

    /// Opens a directory; `release` ends it.
    ///
    /// - Throws: `Errno.notDirectory` or `.stale`.
    package func openDirectory(_ inode: Inode) throws(Errno) -> OpenedHandle {
        let opened: Result<OpenedHandle, Errno> = state.withLock { state in
            do throws(Errno) {
                let tree = state.tree(of: inode)
                let listing = try entries(of: inode, tree: tree, state: state)
                let handle = state.add(.directory(listing, tree: tree), holding: tree)
                return .success(OpenedHandle(handle: handle, isControl: tree == nil))
            } catch {
                return .failure(error)
            }
        }
        return try opened.get()
    }

    /// The entries of an open directory, `.` and `..` first; offset `i` is the `i`-th.
    ///
    /// - Throws: `Errno.stale` for a number that is no open directory.
    package func entries(_ handle: UInt64) throws(Errno) -> [DirectoryEntry] {
        guard case .directory(let entries, _) = state.withLock({ $0.handles[handle] }) else {
            throw .stale
        }
        return entries
    }

    private func entries(
        of inode: Inode, tree: ModelTree?, state: borrowing State
    ) throws(Errno) -> [DirectoryEntry] {
        switch inode {
        case Self.rootInode:
            let shown = state.names.filter { !$0.value.isPending }
                .sorted { $0.key.lexicographicallyPrecedes($1.key) }
            return dots(inode, parent: inode)
                + shown.map {
                    DirectoryEntry(
                        name: $0.value.name, inode: $0.value.firstInode,
                        isDirectory: $0.value.nodes.first?.isDirectory == true)
                }
        case Self.controlInode:
            let models = state.statusNames.sorted { $0.key.lexicographicallyPrecedes($1.key) }
            let own = DirectoryEntry(
                name: Self.statusName, inode: Self.statusInode, isDirectory: false)
            return dots(inode, parent: Self.rootInode) + [own]
                + models.map {
                    DirectoryEntry(
                        name: String(decoding: $0.key, as: UTF8.self),
                        inode: $0.value.statusInode, isDirectory: false)
                }
        default:
            guard let tree else { throw inode == Self.statusInode ? .notDirectory : .stale }
            guard let node = tree.node(of: inode),
                case .directory(let children) = tree.nodes[node].content
            else { throw .notDirectory }
            // Not an empty directory, but one that nobody knows yet.
            guard !tree.isAnnounced else { throw state.isRetired(tree) ? .stale : .tryAgain }
            let parent = node == 0 ? Self.rootInode : tree.inode(of: tree.nodes[node].parent)
            return dots(inode, parent: parent)
                + children.map {
                    DirectoryEntry(
                        name: tree.nodes[$0].name, inode: tree.inode(of: $0),
                        isDirectory: tree.nodes[$0].isDirectory)
                }
        }
    }

    private func dots(_ inode: Inode, parent: Inode) -> [DirectoryEntry] {
        [
            DirectoryEntry(name: ".", inode: inode, isDirectory: true),
            DirectoryEntry(name: "..", inode: parent, isDirectory: true),
        ]
    }
}

extension TreeStore.State {
    fileprivate mutating func add(_ handle: TreeStore.Handle, holding tree: ModelTree?) -> UInt64 {
        lastHandle += 1
        handles[lastHandle] = handle
        if let tree { reference(tree) }
        return lastHandle
    }
}
