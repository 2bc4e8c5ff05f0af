internal import Foundation
internal import Glibc
internal import PetalsCodec
internal import PetalsCore
internal import PetalsStore
internal import PetalsTesting
internal import Testing

extension MountTests {
    /// S33 to S35: what a followed catalogue lists is in the folder.
    @Suite struct CatalogueTests {
        /// Opens a file, says so, and compares it when it is told to.
        private static let reader = """
            import os, sys, time
            path, source, opened, go = sys.argv[1:]
            with open(path, "rb") as file:
                open(opened, "w").close()
                while not os.path.exists(go):
                    time.sleep(0.01)
                print("same" if file.read() == open(source, "rb").read() else "other")
            """

        /// The names in a mounted folder, by a child.
        private func names(_ world: World, _ mounted: Mounted) async throws -> [String] {
            try await world.run("ls", mounted.directory).succeeded()
                .split(separator: "\n").map(String.init)
        }

        private func waitForNames(
            _ world: World, _ mounted: Mounted, _ expected: [String]
        ) async throws {
            try await World.wait("the folder to show \(expected)") {
                try await names(world, mounted) == expected
            }
        }

        /// Makes a catalogue on the publisher's state folder, and returns its link.
        private func create(_ world: World, _ title: String) async throws -> String {
            try await world.petals("publisher", "catalog", "create", title).succeeded()
                .trimmingCharacters(in: .whitespacesAndNewlines)
        }

        /// S33 listedAtOnce: entries come and go in the running mount, and what is open goes on.
        @Test func entriesComeAndGoWithoutARestart() async throws {
            try await World.with { world in
                let source = try await Samples.noise(world, "a.gguf")
                _ = try await world.publish(source)
                let tree = try world.makeFolder("tree")
                _ = try await Samples.noise(world, "tree/w.bin", bytes: 300_000, seed: 3)
                _ = try await world.run("sh", "-c", "echo '{}' >'\(tree)/config.json'").succeeded()
                _ = try await world.petals("publisher", "publish", tree).succeeded()
                let link = try await create(world, "Models")
                let publisher = try await world.serve("publisher")
                let mounted = try await world.mount("reader", [], peers: [publisher.address])
                #expect(try await names(world, mounted).isEmpty)
                _ = try await world.petals("reader", "catalog", "follow", link).succeeded()
                _ = try await world.petals("publisher", "catalog", "add", "Models", "a.gguf")
                    .succeeded()
                try await waitForNames(world, mounted, ["a.gguf"])
                _ = try await world.petals("publisher", "catalog", "add", "Models", "tree")
                    .succeeded()
                try await waitForNames(world, mounted, ["a.gguf", "tree"])
                let size = try await world.run("stat", "-c", "%s", mounted.path("a.gguf"))
                #expect(size.text == "4000037", size.told)
                let same = try await world.run("diff", "-r", tree, mounted.path("tree"))
                #expect(same.code == 0, same.told)
                // Somebody has it open while it is withdrawn.
                let reader = try world.start(
                    ["python3", "-c", Self.reader, mounted.path("a.gguf"), source]
                        + [world.path("open"), world.path("go")])
                try await World.wait("the reader to have opened the file") {
                    FileManager.default.fileExists(atPath: world.path("open"))
                }
                _ = try await world.petals("publisher", "catalog", "remove", "Models", "a.gguf")
                    .succeeded()
                try await waitForNames(world, mounted, ["tree"])
                try Data().write(to: URL(fileURLWithPath: world.path("go")))
                let finished = try await reader.finish()
                #expect(finished.text == "same", finished.told)
                let refused = try await world.petals("reader", "rm", "tree")
                #expect(refused.code == 1 && refused.errors.contains("is listed by the catalogue"))
                let status = try await world.run("cat", mounted.path(".petalsfs/status.json"))
                #expect(status.output.contains("Models"), status.told)
                try await mounted.unmount(world)
            }
        }

        /// S34 nothingIsReplaced: a name that is taken, by the user's own model or another
        /// catalogue's, stays what it was; what was pinned or read stays after `unfollow`.
        @Test func takenNamesStayAndWhatWasUsedIsKept() async throws {
            try await World.with { world in
                let first = try await Samples.noise(world, "x.gguf", bytes: 100_000, seed: 1)
                _ = try await world.publish(first)
                let second = try await Samples.noise(world, "y.gguf", bytes: 100_000, seed: 2)
                _ = try await world.publish(second)
                let third = try await Samples.noise(world, "z.gguf", bytes: 100_000, seed: 3)
                let own = try await world.petals("other", "publish", third, "--json")
                    .decode(PublishReport.self)
                let link = try await create(world, "One")
                let two = try await create(world, "Two")
                for (catalogue, model, name) in [
                    ("One", "x.gguf", "m"), ("One", "y.gguf", "n"), ("Two", "y.gguf", "m"),
                    ("Two", "y.gguf", "o"),
                ] {
                    _ = try await world.petals(
                        "publisher", "catalog", "add", catalogue, model, "--name", name
                    ).succeeded()
                }
                let publisher = try await world.serve("publisher")
                let other = try await world.serve("other")
                _ = try await world.petals("reader", "add", own.link, "--name", "n").succeeded()
                for link in [link, two] {
                    _ = try await world.petals("reader", "catalog", "follow", link).succeeded()
                }
                let mounted = try await world.mount(
                    "reader", [], peers: [publisher.address, other.address], ["--keep-cache"])
                // “y.gguf” is listed three times, and shown once.
                try await waitForNames(world, mounted, ["m", "n", "n (One)"])
                for (name, source) in [("m", first), ("n", third), ("n (One)", second)] {
                    try await waitForSame(world, mounted.path(name), source)
                }
                let rows = try await world.petals("reader", "ls", "--json")
                    .decode([ModelReport].self)
                #expect(rows.map(\.name) == ["m", "n", "n (One)"])
                _ = try await world.petals("reader", "catalog", "unfollow", "Two").succeeded()
                _ = try await world.petals("reader", "catalog", "unfollow", "One").succeeded()
                // All was read.
                #expect(try await names(world, mounted) == ["m", "n", "n (One)"])
                _ = try await world.petals("reader", "rm", "m").succeeded()
                #expect(try await names(world, mounted) == ["n", "n (One)"])
                try await mounted.unmount(world)
            }
        }

        /// S36 listedOpensLater: with nobody there who has the manifest, what is listed is shown
        /// and its opening refused, and it opens when a peer has come.
        @Test func whatIsListedOpensWhenAPeerComes() async throws {
            try await World.with { world in
                let source = try await Samples.noise(world, "x.gguf", bytes: 100_000)
                _ = try await world.publish(source)
                let tree = try world.makeFolder("tree")
                _ = try await Samples.noise(world, "tree/w.bin", bytes: 100_000, seed: 3)
                _ = try await world.petals("publisher", "publish", tree).succeeded()
                let link = try await create(world, "One")
                for name in ["x.gguf", "tree"] {
                    _ = try await world.petals("publisher", "catalog", "add", "One", name)
                        .succeeded()
                }
                let first = try await world.serve("publisher")
                // Without a mount no manifest is asked for.
                let follower = try await world.serve(
                    "reader", at: "127.0.0.1:0", "--peer", first.address)
                _ = try await world.petals("reader", "catalog", "follow", link).succeeded()
                try await World.wait("the catalogue to come") {
                    try await world.petals("reader", "catalog", "ls", "--json")
                        .decode([CatalogueReport].self).first?.sequence == 3
                }
                for relay in [first, follower] {
                    relay.child.send(SIGTERM)
                    _ = try await relay.child.finish().succeeded()
                }
                let mounted = try await world.mount("reader", [], peers: [first.address])
                #expect(try await names(world, mounted) == ["tree", "x.gguf"])
                let size = try await world.run("stat", "-c", "%s", mounted.path("x.gguf"))
                #expect(size.text == "100000", size.told)
                for path in ["x.gguf", "tree/w.bin"] {
                    let refused = try await world.run("cat", mounted.path(path))
                    #expect(
                        refused.errors.contains("Resource temporarily unavailable"), refused.told)
                }
                #expect(mounted.child.errors.contains("its manifest has not arrived"))
                _ = try await world.serve("publisher", at: first.address)
                try await World.wait("the tree to open") {
                    try await world.run("diff", "-r", tree, mounted.path("tree")).code == 0
                }
                try await World.wait("the file to open") {
                    try await world.run("cmp", source, mounted.path("x.gguf")).code == 0
                }
                try await mounted.unmount(world)
            }
        }

        /// What nobody has opened goes with its catalogue.
        @Test func whatWasNeverOpenedGoes() async throws {
            try await World.with { world in
                let source = try await Samples.noise(world, "x.gguf", bytes: 100_000)
                _ = try await world.publish(source)
                let link = try await create(world, "One")
                _ = try await world.petals("publisher", "catalog", "add", "One", "x.gguf")
                    .succeeded()
                let publisher = try await world.serve("publisher")
                _ = try await world.petals("reader", "catalog", "follow", link).succeeded()
                let mounted = try await world.mount("reader", [], peers: [publisher.address])
                try await waitForNames(world, mounted, ["x.gguf"])
                _ = try await world.petals("reader", "catalog", "unfollow", "One").succeeded()
                #expect(try await names(world, mounted).isEmpty)
                let gone = try await world.petals("reader", "catalog", "show", "One")
                #expect(gone.code == 1 && gone.errors.contains("no catalogue “One”"), gone.told)
                try await mounted.unmount(world)
            }
        }

        /// A list that is long costs no manifest: with nobody to ask, all of it is shown.
        @Test func fiveThousandEntriesAreShown() async throws {
            try await World.with { world in
                let now = Int(Date().timeIntervalSince1970)
                var sample = try SampleCatalogue(title: "Long")
                for number in 0..<5000 {
                    try sample.add(
                        .entry(SampleCatalogue.entry("model-\(number).gguf", size: number)))
                }
                try Self.keep(sample, in: world.path("reader"), now: now)
                let begin = ContinuousClock.now
                let mounted = try await world.mount("reader", [], peers: [])
                let ready = ContinuousClock.now - begin
                let listed = try await world.run(
                    "find", mounted.directory, "-type", "f", "-size", "-5000c", "-printf", "%s\n"
                ).succeeded()
                #expect(Set(listed.split(separator: "\n")).count == 5000)
                print(
                    "5000 entries: ready after \(ready), listed after "
                        + "\(ContinuousClock.now - begin)")
                try await mounted.unmount(world)
            }
        }

        /// Writes what a node keeps of a catalogue that it follows.
        private static func keep(_ sample: SampleCatalogue, in path: String, now: Int) throws {
            let folder = try StateFolder(opening: path)
            defer { folder.release() }
            let registry = try Registry(folder: folder, logger: LogBook().logger)
            try registry.keep(
                CatalogueRow(id: sample.id, isFollowed: true, name: "x", addedAt: now))
            _ = try registry.accept(
                sample.checkedHead(now: now), log: sample.log, heardAt: now)
        }

        /// An owner whose key never meets a node: a delegate signs, until he may not.
        @Test func aDelegateSigns() async throws {
            try await World.with { world in
                let source = try await Samples.noise(world, "x.gguf", bytes: 100_000)
                _ = try await world.publish(source)
                let key = world.path("owner.key")
                let link = try await world.start(["petalsfs", "catalog", "key", key]).finish()
                let mode = try await world.run("stat", "-c", "%a", key)
                #expect(mode.text == "600", mode.told)
                let again = try await world.start(["petalsfs", "catalog", "key", key]).finish()
                #expect(again.code == 1 && again.errors.contains("exists"), again.told)
                let signer = try await world.petals("publisher", "catalog", "signer").succeeded()
                    .trimmingCharacters(in: .whitespacesAndNewlines)
                func delegate(_ to: String) async throws -> String {
                    try await world.start([
                        "petalsfs", "catalog", "delegate", "--owner-key", key, "--to", to,
                        "--expires", "90d",
                    ]).finish().succeeded().trimmingCharacters(in: .whitespacesAndNewlines)
                }
                let delegation = try await delegate(signer)
                let foreign = try await world.petals("other", "catalog", "adopt", delegation)
                #expect(foreign.code == 1 && foreign.errors.contains("another node's key"))
                let adopted = try await world.petals(
                    "publisher", "catalog", "adopt", delegation, "--title", "Offline")
                #expect(adopted.output.hasPrefix(link.text), adopted.told)
                try await expectAdoptedOnce(world, delegation, link.text)
                let added = try await world.petals(
                    "publisher", "catalog", "add", "Offline", "x.gguf", "--json"
                ).decode(CatalogueShowReport.self)
                #expect(added.delegated && added.signer == signer && added.issue > 0)
                let publisher = try await world.serve("publisher")
                _ = try await world.petals("reader", "catalog", "follow", link.text).succeeded()
                let mounted = try await world.mount("reader", [], peers: [publisher.address])
                try await waitForNames(world, mounted, ["x.gguf"])
                try await waitForSame(world, mounted.path("x.gguf"), source)
                try await mounted.unmount(world)
            }
        }

        /// The same delegation again changes nothing; the title of another catalogue is refused.
        private func expectAdoptedOnce(
            _ world: World, _ delegation: String, _ link: String
        ) async throws {
            for more in [[], ["--title", "Offline"]] {
                let same = try await world.start(
                    [
                        "petalsfs", "catalog", "adopt", delegation, "--state",
                        world.path("publisher"),
                    ]
                        + more
                ).finish()
                #expect(same.code == 0 && same.output.hasPrefix(link), same.told)
            }
            _ = try await world.petals("publisher", "catalog", "create", "Own").succeeded()
            let taken = try await world.petals(
                "publisher", "catalog", "adopt", delegation, "--title", "Own")
            expectRefusal(taken, saying: "another catalogue with the title “Own” is signed here")
            let shown = try await world.petals("publisher", "catalog", "show", "Offline", "--json")
                .decode(CatalogueShowReport.self)
            #expect(shown.summary.own && shown.summary.sequence == 1)
        }

        /// Waits until a file of the mount can be read and is the other one: an open whose manifest
        /// has not come is refused, and works later.
        private func waitForSame(_ world: World, _ file: String, _ source: String) async throws {
            try await World.wait("\(file) to be read") {
                try await world.run("cmp", file, source).code == 0
            }
        }

        /// S35 requireSigned: what nobody known vouches for is refused with the reason.
        @Test func whatNobodyVouchesForIsRefused() async throws {
            try await World.with { world in
                let source = try await Samples.noise(world, "x.gguf", bytes: 100_000)
                let listed = try await world.publish(source)
                let stray = try await Samples.noise(world, "stray.gguf", bytes: 100_000, seed: 4)
                let unlisted = try await world.petals("other", "publish", stray, "--json")
                    .decode(PublishReport.self)
                let key =
                    try await world.petals("other", "info", "stray.gguf", "--json")
                    .decode(InfoReport.self).publisher ?? ""
                let link = try await create(world, "One")
                _ = try await world.petals("publisher", "catalog", "add", "One", "x.gguf")
                    .succeeded()
                let publisher = try await world.serve("publisher")
                let other = try await world.serve("other")
                let peers = [publisher.address, other.address]
                _ = try await world.petals("reader", "catalog", "follow", link).succeeded()
                let mounted = try await world.mount(
                    "reader", [unlisted.link], peers: peers, ["--require-signed"])
                try await waitForNames(world, mounted, ["stray.gguf", "x.gguf"])
                try await waitForSame(world, mounted.path("x.gguf"), source)
                let refused = try await world.run("cat", mounted.path("stray.gguf"))
                #expect(refused.code == 1 && refused.errors.contains("Input/output error"))
                #expect(mounted.child.errors.contains("no followed catalogue lists “stray.gguf”"))
                let adding = try await world.petals(
                    "reader", "add", unlisted.link, "--name", "again", "--require-signed")
                #expect(adding.code == 1 && adding.errors.contains("--publisher"), adding.told)
                let hash = unlisted.files[0].sha256
                let found = try await world.petals(
                    "reader", "add", "sha256:" + hash, "--require-signed")
                #expect(found.code == 1 && found.errors.contains("SHA-256 \(hash)"), found.told)
                let trusted = try await world.petals(
                    "reader", "add", unlisted.link, "--name", "again", "--require-signed",
                    "--publisher", key)
                #expect(trusted.text == "again", trusted.told)
                let known = try await world.petals(
                    "reader", "add", listed.link, "--name", "twice", "--require-signed")
                #expect(known.text == "twice", known.told)
                try await mounted.unmount(world)
            }
        }

        /// A private model is never listed with the key to read it.
        @Test func aPrivateModelIsListedToBeHeldOnly() async throws {
            try await World.with { world in
                let source = try await Samples.noise(world, "x.gguf", bytes: 100_000)
                _ = try await world.publish(source, "--private")
                _ = try await create(world, "One")
                let refused = try await world.petals(
                    "publisher", "catalog", "add", "One", "x.gguf")
                #expect(refused.code == 1 && refused.errors.contains("is private"), refused.told)
                let added = try await world.petals(
                    "publisher", "catalog", "add", "One", "x.gguf", "--relay-only", "--json"
                ).decode(CatalogueShowReport.self)
                let entry = try #require(added.entries.first)
                #expect(!entry.readable && entry.sha256 == nil)
                #expect(entry.link.hasPrefix("petals:v1:"))
                let shown = try await world.petals("publisher", "catalog", "show", "One")
                #expect(shown.output.contains("may be held only"), shown.told)
            }
        }
    }
}
