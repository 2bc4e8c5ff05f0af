internal import Logging
internal import PetalsCore
internal import Synchronization

extension TreeStore {
    /// Finds a name in a directory; the kernel then holds the inode until it is forgotten.
    ///
    /// - Throws: `Errno.notFound`; `.tryAgain` for a model whose manifest has not arrived;
    ///   `.notDirectory`; `.stale` for an inode that this session does not know.
    package func lookup(parent: Inode, name: [UInt8]) throws(Errno) -> NodeAttributes {
        let found: Result<NodeAttributes, LookupFailure> = state.withLock { state in
            do throws(LookupFailure) {
                let (inode, tree) = try find(name, in: parent, state: state)
                guard let attributes = attributes(inode, state: state) else {
                    throw .errno(.stale)
                }
                if let tree {
                    state.lookups[inode, default: 0] += 1
                    state.reference(tree)
                }
                return .success(attributes)
            } catch {
                return .failure(error)
            }
        }
        switch found {
        case .success(let attributes): return attributes
        case .failure(.errno(let errno)): throw errno
        case .failure(.pending(let model)):
            logPending(model)
            throw .tryAgain
        }
    }

    func logPending(_ model: MountedModel) {
        logger.notice(
            """
            “\(ModelPath.printable(model.name))” is known but its manifest has not arrived \
            yet; asked \(counted(model.peersAsked(), "peer"))
            """
        )
    }

    private enum LookupFailure: Error {
        case errno(Errno)
        case pending(MountedModel)
    }

    private func find(
        _ name: [UInt8], in parent: Inode, state: borrowing State
    ) throws(LookupFailure) -> (Inode, ModelTree?) {
        switch parent {
        case Self.rootInode:
            if name.elementsEqual(Self.controlName.utf8) { return (Self.controlInode, nil) }
            guard let tree = state.names[name] else { throw .errno(.notFound) }
            guard !tree.isPending else { throw .pending(tree.model) }
            return (tree.firstInode, tree)
        case Self.controlInode:
            if name.elementsEqual(Self.statusName.utf8) { return (Self.statusInode, nil) }
            guard let tree = state.statusNames[name] else { throw .errno(.notFound) }
            return (tree.statusInode, tree)
        default:
            guard let tree = state.tree(of: parent) else { throw .errno(.stale) }
            guard let node = tree.node(of: parent), tree.nodes[node].isDirectory else {
                throw .errno(.notDirectory)
            }
            guard !tree.isAnnounced else {
                throw state.isRetired(tree) ? .errno(.stale) : .pending(tree.model)
            }
            guard let child = tree.child(of: node, named: name) else { throw .errno(.notFound) }
            return (tree.inode(of: child), tree)
        }
    }

    /// Takes back `count` lookups of an inode; its version goes when nothing holds it any more.
    package func forget(_ inode: Inode, count: UInt64) {
        state.withLock { state in
            guard let held = state.lookups[inode], let tree = state.tree(of: inode) else { return }
            let taken = min(held, Int(clamping: count))
            state.lookups[inode] = held > taken ? held - taken : nil
            state.dereference(tree.firstInode, count: taken)
        }
    }

    /// What `stat` shows of an inode.
    ///
    /// - Throws: `Errno.stale` for an inode that this session does not know.
    package func attributes(_ inode: Inode) throws(Errno) -> NodeAttributes {
        guard let found = state.withLock({ attributes(inode, state: $0) }) else { throw .stale }
        return found
    }

    private func attributes(_ inode: Inode, state: borrowing State) -> NodeAttributes? {
        switch inode {
        case Self.rootInode:
            let directories = state.names.values.reduce(0) {
                $0 + ($1.nodes.first?.isDirectory == true ? 1 : 0)
            }
            let newest = state.names.values.reduce(startedAt) { max($0, $1.model.addedAt) }
            return directory(inode, subdirectories: directories, modified: newest)
        case Self.controlInode: return directory(inode, subdirectories: 0, modified: startedAt)
        case Self.statusInode: return controlFile(inode, modified: startedAt)
        default:
            guard let tree = state.tree(of: inode) else { return nil }
            guard let node = tree.node(of: inode) else {
                return controlFile(inode, modified: tree.model.addedAt)
            }
            switch tree.nodes[node].content {
            case .directory(let children):
                let directories = children.reduce(0) {
                    $0 + (tree.nodes[$1].isDirectory ? 1 : 0)
                }
                return directory(
                    inode, subdirectories: directories, modified: tree.model.addedAt)
            case .file:
                guard let entry = tree.entry(of: node) else {
                    guard let announced = tree.model.announced else { return nil }
                    return NodeAttributes(
                        inode: inode, isDirectory: false,
                        permissions: announced.isExecutable ? 0o555 : 0o444,
                        size: announced.size, linkCount: 1, modified: tree.model.addedAt,
                        isControl: false)
                }
                return NodeAttributes(
                    inode: inode, isDirectory: false,
                    permissions: entry.executable ? 0o555 : 0o444, size: entry.size,
                    linkCount: 1, modified: tree.model.addedAt, isControl: false)
            }
        }
    }

    private func directory(
        _ inode: Inode, subdirectories: Int, modified: Int64
    ) -> NodeAttributes {
        NodeAttributes(
            inode: inode, isDirectory: true, permissions: 0o555,
            size: NodeAttributes.blockBytes, linkCount: 2 + subdirectories, modified: modified,
            isControl: inode == Self.controlInode)
    }

    private func controlFile(_ inode: Inode, modified: Int64) -> NodeAttributes {
        NodeAttributes(
            inode: inode, isDirectory: false, permissions: 0o444, size: 0, linkCount: 1,
            modified: modified, isControl: true)
    }
}

extension ModelTree.Node {
    var isDirectory: Bool {
        if case .directory = content { true } else { false }
    }
}
