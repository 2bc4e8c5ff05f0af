internal import PetalsCore
internal import Synchronization
internal import Testing

@testable internal import PetalsFS

/// Goal: what a catalogue lists is shown before its manifest is here, and becomes the real thing
/// when it comes.
///
/// Method: a store without a mount, with models that are announced, fit, or do not fit.
@Suite struct AnnouncedModelTests {
    private func announced(
        _ name: String, id: UInt8 = 1, single: Bool = true, size: Int = 7,
        executable: Bool = false, fetch: @escaping @Sendable () async -> Void = {}
    ) -> MountedModel {
        var model = model(name, id: id, nil)
        model.announced = .init(
            isSingleFile: single, isExecutable: executable, size: size)
        model.fetch = fetch
        return model
    }

    private func list(_ store: TreeStore, _ inode: Inode) throws -> [String] {
        let handle = try store.openDirectory(inode).handle
        defer { store.release(handle) }
        return try store.entries(handle).dropFirst(2).map(\.name)
    }

    private func lookup(_ store: TreeStore, _ name: String) throws -> NodeAttributes {
        try store.lookup(parent: TreeStore.rootInode, name: Array(name.utf8))
    }

    @Test func whatIsAnnouncedIsShownAndNotOpened() throws {
        let recorder = LogRecorder()
        let store = store(
            [
                announced("a.gguf", id: 1, size: 1025), announced("run", id: 2, executable: true),
                announced("tree", id: 3, single: false), model("pending", id: 4, nil),
            ], logger: recorder.logger)
        #expect(try list(store, TreeStore.rootInode) == ["a.gguf", "run", "tree"])
        let file = try lookup(store, "a.gguf")
        #expect(!file.isDirectory && file.size == 1025 && file.permissions == 0o444)
        #expect(file.modified == 1001)
        #expect(try lookup(store, "run").permissions == 0o555)
        let tree = try lookup(store, "tree")
        #expect(tree.isDirectory && tree.linkCount == 2)
        #expect(throws: Errno.tryAgain) { try store.open(file.inode) }
        #expect(throws: Errno.isDirectory) { try store.open(tree.inode) }
        #expect(throws: Errno.tryAgain) { try store.openDirectory(tree.inode) }
        #expect(throws: Errno.tryAgain) {
            try store.lookup(parent: tree.inode, name: Array("x".utf8))
        }
        #expect(throws: Errno.notDirectory) {
            try store.lookup(parent: file.inode, name: Array("x".utf8))
        }
        #expect(store.awaited(file.inode) != nil && store.awaited(tree.inode) != nil)
        #expect(store.awaited(TreeStore.rootInode) == nil)
        let lines = recorder.lines.withLock { $0 }
        #expect(lines.count == 2 && lines[0].contains("“a.gguf” is known but its manifest"))
        #expect(
            try store.extendedAttribute(file.inode, name: "user.petals.cached") == Array("0".utf8))
    }

    /// A file keeps its inode, with which a program may wait for it; anything else gets new ones.
    @Test func aManifestThatFitsKeepsTheInode() throws {
        for (size, executable, single, keeps) in [
            (7, false, true, true), (8, false, true, false), (7, true, true, false),
            (7, false, false, false),
        ] {
            let store = store([announced("m")])
            let before = try lookup(store, "m").inode
            let names = Mutex<[String]>([])
            store.observeNames { changed in names.withLock { $0 += changed } }
            store.update(models: [
                model(
                    "m", singleFile: single,
                    [try file("m", size: size, executable: executable)])
            ])
            let after = try lookup(store, "m")
            #expect((after.inode == before) == keeps)
            #expect(names.withLock { $0 } == (keeps ? [] : ["m"]))
            #expect(store.awaited(before) == nil || !keeps)
            if single { #expect(try store.open(after.inode).handle > 0) }
        }
        // Announced anew with another size, before any manifest came.
        let store = store([announced("m")])
        let before = try lookup(store, "m").inode
        store.update(models: [announced("m", size: 9)])
        #expect(try lookup(store, "m").inode != before)
        let same = try lookup(store, "m").inode
        store.update(models: [announced("m", size: 9)])
        #expect(try lookup(store, "m").inode == same)
    }

    /// Whoever opens it has its manifest fetched, and asks again when it is here.
    @Test func anOpenFetchesTheManifest() async throws {
        let entries = [try file("f", size: 7)]
        for arrives in [true, false] {
            let gate = Mutex<TreeStore?>(nil)
            let store = store()
            gate.withLock { $0 = store }
            store.update(models: [
                announced("tree", single: false) {
                    let store = gate.withLock { $0 }
                    if arrives { store?.update(models: [model("tree", entries)]) }
                }
            ])
            let inode = try lookup(store, "tree").inode
            let awaited = try #require(store.awaited(inode))
            let replies = ReplyRecorder()
            store.answer(replies.reply(), whenArrived: awaited, inode: inode)
            let answer = await replies.answer(1)
            #expect(answer == .error(arrives ? .stale : .tryAgain), "\(arrives)")
            guard arrives else { continue }
            #expect(try list(store, lookup(store, "tree").inode) == ["f"])
        }
    }
}
