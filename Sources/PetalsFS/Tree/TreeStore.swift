package import Logging
internal import PetalsCore
internal import Synchronization

/// All models of the mount, their inodes, and what the kernel holds of them.
///
/// Everything here answers from memory. `update(models:)` is called from the control side; all
/// other calls come from FUSE threads.
package final class TreeStore: Sendable {
    struct State {
        /// Versions that are shown or still held by the kernel, by rising first inode.
        var trees: [ModelTree] = []
        /// What the root shows, pending models included.
        var names: [[UInt8]: ModelTree] = [:]
        /// What `.petalsfs` shows.
        var statusNames: [[UInt8]: ModelTree] = [:]
        /// Lookups that the kernel has not forgotten, by inode.
        var lookups: [Inode: Int] = [:]
        /// Lookups and open handles, by the first inode of their version.
        var references: [Inode: Int] = [:]
        /// First inodes of versions that are not shown any more.
        var retired: Set<Inode> = []
        var handles: [UInt64: Handle] = [:]
        var lastHandle: UInt64 = 0
        /// One content for each open file, however often it is open: read-ahead is per file.
        var contents: [Inode: SharedContent] = [:]
        var observer: (@Sendable ([String]) -> Void)?
    }

    struct SharedContent {
        let content: any FileContent
        var opens: Int
    }

    static let rootInode: Inode = 1
    static let controlInode: Inode = 2
    static let statusInode: Inode = 3
    static let controlName = ".petalsfs"
    static let statusName = "status.json"

    let state = Mutex(State())
    /// The next inode to give away.
    ///
    /// Held through a whole update, so that updates come one by one.
    private let nextInode = Mutex<Inode>(statusInode + 1)
    let status: @Sendable () -> [UInt8]
    let startedAt: Int64
    let logger: Logger

    /// Makes a store without models.
    ///
    /// - Parameters:
    ///   - startedAt: seconds since 1970, shown as the time of the root.
    ///   - status: the JSON of `.petalsfs/status.json`; made at each open.
    package init(startedAt: Int64, logger: Logger, status: @escaping @Sendable () -> [UInt8]) {
        self.startedAt = startedAt
        self.logger = logger
        self.status = status
    }

    /// Files of all models that are shown.
    package var fileCount: Int {
        state.withLock { state in
            state.names.values.reduce(0) { $0 + ($1.model.manifest?.entries.count ?? 0) }
        }
    }

    /// Handles that are open: zero after everything was closed.
    package var openCount: Int { state.withLock { $0.handles.count } }

    /// Versions that are shown or held: the shown ones after the kernel forgot the others.
    package var versionCount: Int { state.withLock { $0.trees.count } }

    /// Called after each update, outside all locks, with the names in the root that went away or
    /// mean another version now.
    package func observeNames(_ observer: (@Sendable ([String]) -> Void)?) {
        state.withLock { $0.observer = observer }
    }

    /// Shows these models and no others.
    ///
    /// A model of the same name and version keeps its inodes; another version gets new ones. Names
    /// that another model has already, or that are reserved, get `~` and the start of the
    /// manifest's id behind them.
    package func update(models: [MountedModel]) {
        nextInode.withLock { next in
            let before = state.withLock { $0.names }
            var names: [[UInt8]: ModelTree] = [:]
            var statusNames: [[UInt8]: ModelTree] = [:]
            for model in models {
                guard let name = Self.freeName(of: model, taken: names) else {
                    logger.warning("“\(ModelPath.printable(model.name))” is registered twice")
                    continue
                }
                let key = Array(name.utf8)
                let tree: ModelTree
                if let known = before[key], known.isSameVersion(as: model) {
                    tree = known.updated(with: model)
                } else {
                    tree = ModelTree(model: model, name: name, firstInode: next)
                    next = tree.statusInode + 1
                }
                names[key] = tree
                statusNames[Self.statusKey(of: name)] = tree
            }
            commit(names: names, statusNames: statusNames, before: before)
        }
    }

    private func commit(
        names: [[UInt8]: ModelTree], statusNames: [[UInt8]: ModelTree],
        before: [[UInt8]: ModelTree]
    ) {
        let changed = before.filter { names[$0.key]?.firstInode != $0.value.firstInode }
        let observer = state.withLock { state in
            let shown = Set(names.values.map(\.firstInode))
            let held = state.trees.filter { !shown.contains($0.firstInode) }
            state.names = names
            state.statusNames = statusNames
            state.retired = Set(held.map(\.firstInode))
            state.trees = (held + names.values).sorted { $0.firstInode < $1.firstInode }
            for tree in held { state.dropIfUnused(tree.firstInode) }
            return state.observer
        }
        if !changed.isEmpty { observer?(changed.values.map(\.name)) }
    }

    private static func freeName(of model: MountedModel, taken: [[UInt8]: ModelTree]) -> String? {
        for name in [model.name, "\(model.name)~\(model.manifestID.short)"]
        where name != controlName && taken[Array(name.utf8)] == nil {
            return name
        }
        return nil
    }

    /// The name in `.petalsfs`; a model called “status” makes room for the node's own status.
    private static func statusKey(of name: String) -> [UInt8] {
        Array((name + ".json" == statusName ? name + "~.json" : name + ".json").utf8)
    }
}

extension TreeStore.State {
    /// The version that an inode belongs to.
    ///
    /// - Complexity: O(log versions).
    func tree(of inode: Inode) -> ModelTree? {
        var low = 0
        var high = trees.count
        while low < high {
            let middle = (low + high) / 2
            if trees[middle].firstInode <= inode { low = middle + 1 } else { high = middle }
        }
        guard low > 0, trees[low - 1].inodes.contains(inode) else { return nil }
        return trees[low - 1]
    }

    mutating func reference(_ tree: ModelTree) {
        references[tree.firstInode, default: 0] += 1
    }

    mutating func dereference(_ first: Inode, count: Int = 1) {
        guard let held = references[first] else { return }
        references[first] = held > count ? held - count : nil
        dropIfUnused(first)
    }

    /// Lets a version go that is neither shown nor held.
    mutating func dropIfUnused(_ first: Inode) {
        guard retired.contains(first), references[first] == nil else { return }
        retired.remove(first)
        trees.removeAll { $0.firstInode == first }
    }
}
