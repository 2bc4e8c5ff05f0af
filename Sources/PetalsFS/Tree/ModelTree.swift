internal import PetalsCore

/// One version of one model as nodes with inode numbers; never changes.
///
/// Node 0 is the model itself. The inode of node `i` is `firstInode + i`, and the one after the
/// last node is the model's JSON in `.petalsfs`; a pending model has nothing but that. A model that
/// a catalogue announces has one node before its manifest arrives: a file keeps it then, and a
/// directory becomes another version with nodes for its files.
///
/// Names are compared byte by byte, as the kernel does, not as Swift compares strings.
final class ModelTree: Sendable {
    struct Node: Sendable {
        let name: String
        /// The node's directory; node 0 has none, and says 0.
        let parent: Int
        let content: Content
    }

    enum Content: Sendable {
        /// The nodes in it, sorted by the bytes of their names.
        case directory([Int])
        /// A position in the manifest's entries.
        case file(Int)
    }

    let model: MountedModel
    /// The name in the mount's root: the model's, unless another model has it already.
    let name: String
    let firstInode: Inode
    let nodes: [Node]

    init(model: MountedModel, name: String, firstInode: Inode) {
        self.model = model
        self.name = name
        self.firstInode = firstInode
        if let manifest = model.manifest {
            nodes = Self.build(manifest, name: name)
        } else if let announced = model.announced {
            nodes = [
                Node(
                    name: name, parent: 0,
                    content: announced.isSingleFile ? .file(0) : .directory([]))
            ]
        } else {
            nodes = []
        }
    }

    private init(_ other: ModelTree, model: MountedModel) {
        self.model = model
        name = other.name
        firstInode = other.firstInode
        nodes = other.nodes
    }

    /// The same nodes with newer facts and closures.
    func updated(with model: MountedModel) -> ModelTree { ModelTree(self, model: model) }

    /// Whether `model` is the version whose nodes these are.
    func isSameVersion(as model: MountedModel) -> Bool {
        self.model.manifestID == model.manifestID && self.model.name == model.name
            && (self.model.shape == model.shape || fits(model))
    }

    /// Whether the file that was announced is the one of the manifest that has arrived.
    private func fits(_ model: MountedModel) -> Bool {
        guard self.model.manifest == nil, let announced = self.model.announced,
            announced.isSingleFile, let manifest = model.manifest, manifest.singleFile,
            let entry = manifest.entries.first
        else { return false }
        return entry.size == announced.size && entry.executable == announced.isExecutable
    }

    /// Whether nothing is shown, as nothing is known.
    var isPending: Bool { nodes.isEmpty }

    /// Whether the model is shown as it was announced, and its files cannot be opened yet.
    var isAnnounced: Bool { model.manifest == nil && !nodes.isEmpty }

    /// The inode of the JSON in `.petalsfs`.
    var statusInode: Inode { firstInode + Inode(nodes.count) }

    /// All inodes of this version.
    var inodes: ClosedRange<Inode> { firstInode...statusInode }

    func inode(of node: Int) -> Inode { firstInode + Inode(node) }

    /// The node of an inode of this version; nil for the JSON's.
    func node(of inode: Inode) -> Int? { inode < statusInode ? Int(inode - firstInode) : nil }

    /// The manifest's entry of a file's node.
    func entry(of node: Int) -> ManifestEntry? {
        guard case .file(let position) = nodes[node].content else { return nil }
        return model.manifest?.entries[position]
    }

    /// The node of that name in a directory's node.
    ///
    /// - Complexity: O(log entries).
    func child(of node: Int, named name: [UInt8]) -> Int? {
        guard case .directory(let children) = nodes[node].content else { return nil }
        var low = 0
        var high = children.count
        while low < high {
            let middle = (low + high) / 2
            let candidate = nodes[children[middle]].name.utf8
            if candidate.elementsEqual(name) { return children[middle] }
            if candidate.lexicographicallyPrecedes(name) { low = middle + 1 } else { high = middle }
        }
        return nil
    }

    /// The path inside the mount, for logs.
    func path(of node: Int) -> String {
        var parts = [nodes[node].name]
        var current = node
        while current != 0 {
            current = nodes[current].parent
            parts.append(nodes[current].name)
        }
        return ModelPath.printable(parts.reversed().joined(separator: "/"))
    }
}

extension MountedModel {
    /// How much of a model is shown.
    fileprivate enum Shape: Hashable {
        case pending
        case announced(Announced)
        case whole
    }

    fileprivate var shape: Shape {
        manifest != nil ? .whole : announced.map(Shape.announced) ?? .pending
    }
}

extension ModelTree {
    /// Makes the nodes of a manifest, parents before their children.
    ///
    /// A manifest that was parsed has no name that is a file and a directory at once; were there
    /// one, the first use of it stays and later ones are left out.
    private static func build(_ manifest: ModelManifest, name: String) -> [Node] {
        if manifest.singleFile, !manifest.entries.isEmpty {
            return [Node(name: name, parent: 0, content: .file(0))]
        }
        var drafts = [Draft(name: name, parent: 0, entry: nil)]
        for (position, entry) in manifest.entries.enumerated() {
            var directory = 0
            for component in entry.path.components.dropLast() {
                let key = Array(component.utf8)
                if let known = drafts[directory].children[key] {
                    directory = known
                } else {
                    drafts[directory].children[key] = drafts.count
                    drafts.append(Draft(name: component, parent: directory, entry: nil))
                    directory = drafts.count - 1
                }
            }
            guard let last = entry.path.components.last, drafts[directory].entry == nil,
                drafts[directory].children[Array(last.utf8)] == nil
            else { continue }
            drafts[directory].children[Array(last.utf8)] = drafts.count
            drafts.append(Draft(name: last, parent: directory, entry: position))
        }
        return drafts.map { draft in
            let sorted = draft.children.sorted { $0.key.lexicographicallyPrecedes($1.key) }
            return Node(
                name: draft.name, parent: draft.parent,
                content: draft.entry.map(Content.file) ?? .directory(sorted.map(\.value)))
        }
    }

    /// A node while the tree grows.
    private struct Draft {
        let name: String
        let parent: Int
        let entry: Int?
        var children: [[UInt8]: Int] = [:]
    }
}
