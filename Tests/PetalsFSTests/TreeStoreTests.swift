internal import PetalsCore
internal import PetalsTesting
internal import Synchronization
internal import Testing

@testable internal import PetalsFS

/// Goal: names, inodes, attributes and listings say what the manifests say, and stay stable while
/// models come and go.
///
/// Method: small trees by hand, and random ones against a set of paths.
@Suite struct TreeStoreTests {
    private func walk(_ store: TreeStore, _ path: String) throws -> NodeAttributes {
        try path.split(separator: "/").reduce(try store.attributes(TreeStore.rootInode)) {
            try store.lookup(parent: $0.inode, name: Array($1.utf8))
        }
    }

    private func list(_ store: TreeStore, _ inode: Inode) throws -> [String] {
        let handle = try store.openDirectory(inode).handle
        defer { store.release(handle) }
        let entries = try store.entries(handle)
        #expect(entries.prefix(2).map(\.name) == [".", ".."])
        return entries.dropFirst(2).map(\.name)
    }

    @Test func filesAndDirectoriesShowWhatTheManifestSays() throws {
        let store = store([
            model("one.gguf", id: 1, singleFile: true, [try file("x.gguf", size: 1025)]),
            model(
                "tree", id: 2,
                [
                    try file("a/b/c/deep", size: 1), try file("run", size: 5, executable: true),
                    try inlined("a/empty", ""),
                ]),
        ])
        #expect(try list(store, TreeStore.rootInode) == ["one.gguf", "tree"])
        let one = try walk(store, "one.gguf")
        #expect(!one.isDirectory && one.size == 1025 && one.blocks == 3 && one.linkCount == 1)
        #expect(one.permissions == 0o444 && one.modified == 1001)
        let tree = try walk(store, "tree")
        #expect(tree.isDirectory && tree.permissions == 0o555 && tree.linkCount == 3)
        #expect(try list(store, tree.inode) == ["a", "run"])
        #expect(try walk(store, "tree/run").permissions == 0o555)
        #expect(try walk(store, "tree/a/b/c/deep").size == 1)
        #expect(try walk(store, "tree/a/empty").blocks == 0)
        #expect(try store.attributes(TreeStore.rootInode).linkCount == 3)
        #expect(store.fileCount == 4)
    }

    /// A model that turned out to be wrong is not opened any more, and each attempt is a line in
    /// the log.
    ///
    /// What is open stays open, and all else of it can be looked at.
    @Test func refusedModelsAreNotOpened() throws {
        let recorder = LogRecorder()
        let sound = model("tree", [try file("f", size: 7), try inlined("g", "x")])
        let other = model("other", id: 2, [try file("f", size: 1)])
        let store = store([sound, other], logger: recorder.logger)
        let inode = try walk(store, "tree/f").inode
        let handle = try store.open(inode).handle
        var wrong = sound
        wrong.refusal = "it is something else"
        store.update(models: [wrong, other])
        for name in ["tree/f", "tree/g"] {
            let node = try walk(store, name)
            #expect(throws: Errno.inputOutput) { try store.open(node.inode) }
        }
        #expect(
            recorder.lines.withLock { $0 } == [
                "error: tree/f cannot be opened: it is something else",
                "error: tree/g cannot be opened: it is something else",
            ])
        store.release(try store.open(walk(store, "other/f").inode).handle)
        #expect(try store.file(handle).content.size == 7)
        #expect(try walk(store, "tree/f").inode == inode)
        store.release(handle)
        #expect(throws: Errno.inputOutput) { try store.open(inode) }
        // Another version under the name is another matter.
        store.update(models: [model("tree", id: 3, [try file("f", size: 7)])])
        let fresh = try store.open(walk(store, "tree/f").inode)
        store.release(fresh.handle)
    }

    @Test func mistakesHaveTheirNumbers() throws {
        let store = store([model("tree", [try file("f", size: 1)])])
        let file = try walk(store, "tree/f").inode
        #expect(throws: Errno.notFound) { try walk(store, "nothing") }
        #expect(throws: Errno.notFound) { try walk(store, "tree/g") }
        #expect(throws: Errno.notDirectory) { try walk(store, "tree/f/g") }
        #expect(throws: Errno.stale) { try store.attributes(999) }
        #expect(throws: Errno.stale) { try store.lookup(parent: 999, name: [97]) }
        #expect(throws: Errno.isDirectory) { try store.open(TreeStore.rootInode) }
        #expect(throws: Errno.isDirectory) { try store.open(walk(store, "tree").inode) }
        #expect(throws: Errno.notDirectory) { try store.openDirectory(file) }
        #expect(throws: Errno.stale) { try store.file(4711) }
        #expect(throws: Errno.stale) { try store.entries(4711) }
        #expect(throws: Errno.notFound) {
            try store.lookup(parent: TreeStore.rootInode, name: [0xff, 0xfe])
        }
    }

    @Test func aPendingModelIsRefusedWithOneLineAndNotListed() throws {
        let log = LogRecorder()
        let store = store([model("later", nil)], logger: log.logger)
        #expect(throws: Errno.tryAgain) { try walk(store, "later") }
        #expect(
            log.lines.withLock { $0 } == [
                "notice: “later” is known but its manifest has not arrived yet; asked 4 peers"
            ])
        #expect(try list(store, TreeStore.rootInode) == [])
        #expect(try list(store, TreeStore.controlInode) == ["status.json", "later.json"])
        store.update(models: [model("later", [try inlined("f", "x")])])
        #expect(try walk(store, "later/f").size == 1)
    }

    @Test func aRepublishedNameGetsNewInodesAndTheOldOnesLiveWhileHeld() throws {
        let changes = Mutex<[[String]]>([])
        let store = store([model("m", id: 1, singleFile: true, [try file("m", size: 10)])])
        store.observeNames { names in changes.withLock { $0.append(names) } }
        let old = try walk(store, "m")
        let handle = try store.open(old.inode).handle
        store.update(models: [model("m", id: 1, singleFile: true, [try file("m", size: 10)])])
        #expect(try walk(store, "m").inode == old.inode)
        #expect(changes.withLock { $0 }.isEmpty)
        store.update(models: [model("m", id: 2, singleFile: true, [try file("m", size: 20)])])
        #expect(changes.withLock { $0 } == [["m"]])
        let new = try walk(store, "m")
        #expect(new.inode != old.inode && new.size == 20)
        #expect(try store.attributes(old.inode).size == 10)
        store.forget(old.inode, count: 2)
        #expect(try store.attributes(old.inode).size == 10, "it is open")
        #expect(try store.file(handle).content.size == 10)
        store.release(handle)
        #expect(throws: Errno.stale) { try store.attributes(old.inode) }
        #expect(store.versionCount == 1 && store.openCount == 0)
        store.update(models: [])
        #expect(try store.attributes(new.inode).size == 20, "it was looked up")
        store.forget(new.inode, count: UInt64.max)
        #expect(throws: Errno.stale) { try store.attributes(new.inode) }
        store.update(models: [model("m", id: 2, singleFile: true, [try file("m", size: 20)])])
        #expect(try walk(store, "m").inode > new.inode, "numbers are never reused")
    }

    @Test func namesThatAreTakenMakeRoom() throws {
        let taken = try [
            model("m", id: 1, [inlined("f", "1")]), model("m", id: 2, [inlined("f", "22")]),
            model("m", id: 2, [inlined("f", "22")]),
            model(".petalsfs", id: 3, [inlined("f", "333")]),
            model("status", id: 4, [inlined("f", "4")]),
        ]
        let store = store(taken)
        let second = "m~\(digest(2).short)"
        let hidden = ".petalsfs~\(digest(3).short)"
        #expect(try Set(list(store, TreeStore.rootInode)) == ["m", second, hidden, "status"])
        #expect(try walk(store, "m/f").size == 1)
        #expect(try walk(store, second + "/f").size == 2)
        #expect(try walk(store, ".petalsfs").inode == TreeStore.controlInode)
        let names = try list(store, TreeStore.controlInode)
        #expect(names.first == "status.json" && names.contains("status~.json"))
        #expect(Set(names).count == names.count)
    }

    @Test func namesAreBytes() throws {
        let composed = "\u{e9}"
        let decomposed = "e\u{301}"
        let store = store([
            model("m", [try inlined(composed + "/1", "a"), try inlined(decomposed + "/2", "b")])
        ])
        #expect(try walk(store, "m/\(composed)/1").size == 1)
        #expect(try walk(store, "m/\(decomposed)/2").size == 1)
        #expect(throws: Errno.notFound) { try walk(store, "m/\(composed)/2") }
        #expect(try walk(store, "m").linkCount == 4)
    }

    @Test func aNameThatIsFileAndDirectoryKeepsItsFirstMeaning() throws {
        let store = store([
            model(
                "m",
                [
                    try inlined("a", "x"), try inlined("a/b", "y"), try inlined("a", "zz"),
                    try inlined("c", "z"),
                ])
        ])
        #expect(try list(store, walk(store, "m").inode) == ["a", "c"])
        #expect(try walk(store, "m/a").size == 1)
    }

    @Test func controlFilesAreMadeAtEachOpen() throws {
        let made = Mutex(0)
        let store = TreeStore(startedAt: 1, logger: quiet) {
            made.withLock {
                $0 += 1
                return Array(String($0).utf8)
            }
        }
        store.update(models: [model("m", id: 9, [])])
        let status = try walk(store, ".petalsfs/status.json")
        #expect(status.isControl && status.size == 0 && status.permissions == 0o444)
        for expected in 1...3 {
            let opened = try store.open(status.inode)
            #expect(opened.isControl)
            #expect(try store.file(opened.handle).content.size == String(expected).utf8.count)
            store.release(opened.handle)
        }
        #expect(made.withLock { $0 } == 3)
        let json = try walk(store, ".petalsfs/m.json")
        let opened = try store.open(json.inode)
        #expect(try store.file(opened.handle).content.size == "{\"id\":9}".utf8.count)
        store.release(opened.handle)
        #expect(store.openCount == 0)
        #expect(try walk(store, "m").isDirectory, "a model without files is an empty directory")
    }

    @Test func oneContentServesAllWhoHaveTheFileOpen() throws {
        let opens = Mutex(0)
        var model = model("m", singleFile: true, [try file("m", size: 10)])
        model.open = { record in
            opens.withLock { $0 += 1 }
            return FakeContent(size: record.size)
        }
        let store = store([model])
        let inode = try walk(store, "m").inode
        let handles = try (0..<3).map { _ in try store.open(inode).handle }
        #expect(opens.withLock { $0 } == 1 && Set(handles).count == 3)
        handles.forEach(store.release)
        handles.forEach(store.release)
        _ = try store.open(inode)
        #expect(opens.withLock { $0 } == 2)
    }

    @Test func extendedAttributesAreFactsAndNoSecrets() throws {
        let store = store([
            model(
                "m", [try file("d/f", size: 100), try inlined("i", "abc")],
                facts: ["holders": "3", "manifest": "forged"])
        ])
        let (top, sub) = (try walk(store, "m").inode, try walk(store, "m/d").inode)
        let (file, small) = (try walk(store, "m/d/f").inode, try walk(store, "m/i").inode)
        func value(_ inode: Inode, _ name: String) throws -> String {
            let name = "user.petals." + name
            #expect(try store.extendedAttributeNames(inode).contains(name))
            return String(
                decoding: try store.extendedAttribute(inode, name: name), as: UTF8.self)
        }
        #expect(try value(top, "manifest") == digest(1).hex)
        #expect(try value(top, "cached") == "53" && value(top, "size.stored") == "103")
        #expect(try value(top, "license") == "mit" && value(top, "format") == "gguf")
        #expect(try value(file, "sha256") == digest(1).hex && value(file, "codec") == "raw")
        #expect(try value(file, "cached") == "50" && value(file, "holders") == "3")
        #expect(try value(small, "codec") == "inlined" && value(small, "cached") == "3")
        #expect(try store.extendedAttributeNames(sub).isEmpty)
        #expect(try store.extendedAttributeNames(TreeStore.rootInode).isEmpty)
        #expect(throws: Errno.noAttribute) {
            try store.extendedAttribute(file, name: "security.capability")
        }
        #expect(throws: Errno.noAttribute) {
            try store.extendedAttribute(sub, name: "user.petals.manifest")
        }
        #expect(throws: Errno.stale) { try store.extendedAttributeNames(999) }
        for inode in [top, file, small] {
            for name in try store.extendedAttributeNames(inode) {
                let bytes = try store.extendedAttribute(inode, name: name)
                #expect(!String(decoding: bytes, as: UTF8.self).contains("petals:"))
            }
        }
    }

    @Test func aListingStaysAsItWasWhenItWasOpened() throws {
        let store = store([model("a", id: 1, []), model("b", id: 2, [])])
        let handle = try store.openDirectory(TreeStore.rootInode).handle
        store.update(models: [model("c", id: 3, [])])
        #expect(try store.entries(handle).map(\.name) == [".", "..", "a", "b"])
        store.release(handle)
        #expect(try list(store, TreeStore.rootInode) == ["c"])
    }

    @Test(arguments: [1, 2, 3, 4, 5] as [UInt64])
    func randomTreesAreWalkedToEveryFile(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        var sizes: [String: Int] = [:]
        for _ in 0..<300 {
            let depth = Int.random(in: 0...6, using: &generator)
            let directories = (0..<depth).map { _ in
                "d\(Int.random(in: 0..<3, using: &generator))"
            }
            let name = "f\(Int.random(in: 0..<40, using: &generator))"
            sizes[(directories + [name]).joined(separator: "/")] =
                Int.random(in: 1...9999, using: &generator)
        }
        let store = store([
            model("m", try sizes.shuffled(using: &generator).map { try file($0, size: $1) })
        ])
        for (path, size) in sizes {
            #expect(try walk(store, "m/" + path).size == size, "seed \(seed), \(path)")
        }
        var found: Set<String> = []
        var inodes: Set<Inode> = []
        func visit(_ path: String, _ inode: Inode) throws {
            #expect(inodes.insert(inode).inserted, "seed \(seed)")
            let handle = try store.openDirectory(inode).handle
            defer { store.release(handle) }
            for entry in try store.entries(handle).dropFirst(2) {
                let below = path.isEmpty ? entry.name : path + "/" + entry.name
                if entry.isDirectory {
                    try visit(below, entry.inode)
                } else {
                    found.insert(below)
                }
            }
        }
        try visit("", walk(store, "m").inode)
        #expect(found == Set(sizes.keys), "seed \(seed)")
        #expect(store.openCount == 0)
    }
}
