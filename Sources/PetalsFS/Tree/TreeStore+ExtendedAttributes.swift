internal import PetalsCore
internal import Synchronization

extension TreeStore {
    private static let prefix = "user.petals."

    /// The names of an inode's extended attributes, sorted; none for what is neither a file of a
    /// model nor a model's own directory.
    ///
    /// - Throws: `Errno.stale` for an inode that this session does not know.
    package func extendedAttributeNames(_ inode: Inode) throws(Errno) -> [String] {
        guard let (tree, node) = try subject(inode) else { return [] }
        return facts(tree, node: node).keys.sorted().map { Self.prefix + $0 }
    }

    /// The value of an extended attribute.
    ///
    /// - Throws: `Errno.noAttribute`, or `.stale` for an inode that this session does not know.
    package func extendedAttribute(_ inode: Inode, name: String) throws(Errno) -> [UInt8] {
        guard name.hasPrefix(Self.prefix), let (tree, node) = try subject(inode) else {
            throw .noAttribute
        }
        let key = String(name.dropFirst(Self.prefix.count))
        if key == "cached" {
            return Array(String(cachedBytes(tree, node: node)).utf8)
        }
        guard let value = facts(tree, node: node)[key] else { throw .noAttribute }
        return Array(value.utf8)
    }

    private func subject(_ inode: Inode) throws(Errno) -> (ModelTree, Int)? {
        guard let tree = state.withLock({ $0.tree(of: inode) }) else {
            guard inode <= Self.statusInode else { throw .stale }
            return nil
        }
        guard let node = tree.node(of: inode), node == 0 || tree.entry(of: node) != nil else {
            return nil
        }
        return (tree, node)
    }

    /// Facts without the prefix.
    ///
    /// What a model's owner says cannot hide what we know ourselves.
    private func facts(_ tree: ModelTree, node: Int) -> [String: String] {
        var facts = tree.model.facts
        let metadata = tree.model.manifest?.metadata ?? ModelMetadata()
        if !metadata.license.isEmpty { facts["license"] = metadata.license }
        if !metadata.format.isEmpty { facts["format"] = metadata.format }
        facts["manifest"] = tree.model.manifestID.hex
        facts["cached"] = ""
        guard let entry = tree.entry(of: node) else {
            facts["size.stored"] = String(tree.model.manifest?.storedSize ?? 0)
            return facts
        }
        facts["size.stored"] = String(entry.storedSize)
        switch entry.content {
        case .record(let record):
            facts["sha256"] = record.sha256.hex
            facts["codec"] = record.frames.codec.description
        case .inlined:
            facts["codec"] = "inlined"
        }
        return facts
    }

    private func cachedBytes(_ tree: ModelTree, node: Int) -> Int {
        let entries =
            tree.entry(of: node).map { [$0] } ?? tree.model.manifest?.entries ?? []
        return entries.reduce(0) { sum, entry in
            switch entry.content {
            case .inlined(let bytes): sum + bytes.count
            case .record(let record): sum + tree.model.open(record).cachedBytes
            }
        }
    }
}
