internal import Foundation
internal import Glibc
internal import PetalsCodec
internal import PetalsCore
internal import PetalsStore
internal import PetalsTesting
internal import ShardFetch
internal import Testing

extension MountTests {
    /// S31 foundByHash: `petalsfs add sha256:HEX`, from the search to the check.
    @Suite struct AddByHashTests {
        /// Publishes on one node, finds on another by nothing but the digest, reads, and compares.
        @Test func aPublicFileIsFoundReadAndChecked() async throws {
            try await World.with { world in
                let source = try await Samples.noise(world, "model.gguf")
                let report = try await world.publish(source, "--shards", "2/4")
                let hash = report.files[0].sha256
                let publisher = try await world.serve("publisher")
                // The digits as a hub shows them, or as somebody typed them.
                let added = try await world.petals(
                    "reader", "add", "sha256:" + hash.uppercased(), "--json", "--peer",
                    publisher.address
                ).decode(ModelReport.self)
                #expect(added.name == "sha256-" + hash.prefix(12) && added.origin == "added")
                #expect(added.size == 4_000_037 && !added.pending && added.check == "unchecked")
                #expect(added.manifest != report.manifest)
                let again = try await world.petals("reader", "add", "sha256:" + hash)
                #expect(again.text == added.name, again.told)
                let before = try await world.petals("reader", "info", added.name, "--json")
                    .decode(InfoReport.self)
                #expect(before.publisher == nil && before.link == nil)
                #expect(before.files.map(\.sha256) == [hash])
                #expect(before.files.map(\.blob) == report.files.map(\.blob))
                let shown = try await world.petals("reader", "ls")
                #expect(shown.output.contains("not compared with its SHA-256 yet"), shown.told)

                let mounted = try await world.mount("reader", [], peers: [publisher.address])
                let path = mounted.path(added.name)
                let same = try await world.run("cmp", path, source)
                #expect(same.code == 0, same.told)
                try await world.waitForCheck("reader", added.name, "checked")
                let after = try await world.petals("reader", "info", added.name, "--json")
                    .decode(InfoReport.self)
                #expect(after.publisher == nil && after.link?.hasPrefix("petals:r1:") == true)
                #expect(try await world.sha256(path) == hash)
                try await mounted.unmount(world)
                // The cache is gone, and what was found out is not.
                let models = try await world.petals("reader", "ls", "--json")
                #expect(try models.decode([ModelReport].self).map(\.check) == ["checked"])
                let verify = try await world.petals("reader", "verify", "--json")
                #expect(try verify.decode(VerifyReport.self).clean, verify.told)
            }
        }

        /// A reader that found a file gives it to the next one, once it has checked it; a file is
        /// added to a node that runs, under a name of one's own.
        @Test func aReaderPassesOnWhatItChecked() async throws {
            try await World.with { world in
                let source = try await Samples.text(world, "corpus.txt", lines: 60_000)
                let report = try await world.publish(source)
                let text = "sha256:" + report.files[0].sha256
                let publisher = try await world.serve("publisher")
                let first = try await world.mount("first", [], peers: [publisher.address])
                let address = try await #require(world.status("first").node?.listen)
                let second = try await world.mount("second", [], peers: [])
                _ = try await world.petals("first", "add", "-", "--name", "one", input: text)
                    .succeeded()
                // It knows the record, and does not vouch for it yet.
                let early = try await world.petals(
                    "second", "add", text, "--peer", address, "--timeout", "1")
                expectRefusal(early, saying: "no peer knows a public file with SHA-256")
                _ = try await world.petals("first", "prefetch", "one", "--wait").succeeded()
                try await world.waitForCheck("first", "one", "checked")
                publisher.child.send(SIGTERM)
                _ = try await publisher.child.finish()
                let late = try await world.petals("second", "add", text, "--name", "two")
                #expect(late.text == "two", late.told)
                let same = try await world.run("cmp", second.path("two"), source)
                #expect(same.code == 0, same.told)
                try await world.waitForCheck("second", "two", "checked")
                try await first.unmount(world)
                try await second.unmount(world)
            }
        }

        /// Private files, inlined files and unknown ones: one sentence, and nothing is registered.
        @Test func whatIsNotPublicIsNotFound() async throws {
            try await World.with { world in
                let secret = try await Samples.noise(world, "secret.gguf", bytes: 300_000)
                let hidden = try await world.publish(secret, "--private")
                let small = try await Samples.noise(world, "small.gguf", bytes: 60_000, seed: 2)
                let inlined = try await world.publish(small)
                let publisher = try await world.serve("publisher")
                let hashes = [
                    hidden.files[0].sha256, inlined.files[0].sha256,
                    String(repeating: "0", count: 64),
                ]
                for hash in hashes {
                    let finished = try await world.petals(
                        "reader", "add", "sha256:" + hash, "--peer", publisher.address,
                        "--timeout", "1")
                    expectRefusal(
                        finished, saying: "no peer knows a public file with SHA-256 \(hash)")
                }
                let alone = try await world.petals("reader", "add", "sha256:" + hashes[2])
                expectRefusal(alone, saying: "nobody to ask")
                let models = try await world.petals("reader", "ls", "--json")
                #expect(try models.decode([ModelReport].self).isEmpty)
            }
        }

        /// S31: a peer that gives a file of its own under somebody's hash is found out.
        ///
        /// When the file is complete, it is marked, opening and reading it fails, and adding it
        /// again finds the right one.
        @Test func aLyingPublisherIsFoundOut() async throws {
            try await World.with { world in
                let right = try await Samples.noise(world, "right.gguf", bytes: 900_000)
                let report = try await world.publish(right, "--shards", "2/4")
                let hash = report.files[0].sha256
                let claimed = try #require(Digest(hex: hash))
                let wrong = try SampleBlob(
                    seed: 70, size: 900_000, dataShards: 2, groupShards: 4, claiming: claimed)
                try await withSwarm { swarm in
                    let liar = try await swarm.start {
                        try wrong.install(in: $0.store, shards: wrong.shards)
                    }
                    liar.node.offer([wrong.record])
                    let mounted = try await world.mount(
                        "reader", [], peers: ["\(liar.endpoint)"])
                    let name = try await world.petals("reader", "add", "sha256:" + hash)
                        .succeeded()
                    let path = mounted.path(name)
                    // Somebody has it open when it is found out, and reads past the page cache.
                    let holder = try world.start([
                        "python3", "-c", Self.readUntilRefused, path,
                    ])
                    try await world.waitForCheck("reader", name, "mismatch")
                    let finished = try await holder.finish()
                    #expect(finished.text == "read\nEIO\nEIO", finished.told)
                    try await expectMarked(world, name, hash, mounted)

                    let publisher = try await world.serve("publisher")
                    let added = try await world.petals(
                        "reader", "add", "sha256:" + hash, "--peer", publisher.address)
                    #expect(added.text == name, added.told)
                    let same = try await world.run("cmp", path, right)
                    #expect(same.code == 0, same.told)
                    try await world.waitForCheck("reader", name, "checked")
                    try await mounted.unmount(world)
                }
            }
        }

        /// `ls`, `info`, `status`, `verify`, `prefetch` and the log say it.
        private func expectMarked(
            _ world: World, _ name: String, _ hash: String, _ mounted: Mounted
        ) async throws {
            for command in [["ls"], ["info", name], ["status"], ["verify"]] {
                let finished = try await world.start(
                    ["petalsfs"] + command + ["--state", world.path("reader")]
                ).finish()
                #expect(finished.output.contains("not the file of its SHA-256"), finished.told)
                #expect(finished.code == (command == ["verify"] ? 1 : 0), finished.told)
            }
            let prefetch = try await world.petals("reader", "prefetch", name, "--wait")
            expectRefusal(prefetch, saying: "is not the file with SHA-256 \(hash)")
            let info = try await world.petals("reader", "info", name, "--json")
            #expect(try info.decode(InfoReport.self).link == nil)
            let log = mounted.child.errors.split(separator: "\n")
            let told = log.filter { $0.contains("is not the file with SHA-256 \(hash)") }
            #expect(told.contains { $0.contains(" error: ") })
            #expect(told.contains { $0.contains("cannot be opened") })
        }

        /// Reads the file whole, and on until that fails; then opens it until that fails.
        private static let readUntilRefused = """
            import errno, mmap, os, sys, time
            fd = os.open(sys.argv[1], os.O_RDONLY | os.O_DIRECT)
            buffer = mmap.mmap(-1, 1 << 20)
            assert os.preadv(fd, [buffer], 0) == 900000
            print('read')
            def until_refused(attempt):
                while True:
                    try:
                        attempt()
                    except OSError as error:
                        return print(errno.errorcode[error.errno])
                    time.sleep(0.01)
            until_refused(lambda: os.preadv(fd, [buffer], 0))
            until_refused(lambda: os.close(os.open(sys.argv[1], os.O_RDONLY)))
            """
    }
}

extension World {
    /// Waits until a found file was compared with its SHA-256.
    func waitForCheck(_ state: String, _ name: String, _ check: String) async throws {
        try await Self.wait("\(name) to be \(check)") {
            try await self.petals(state, "ls", "--json").decode([ModelReport].self)
                .contains { $0.name == name && $0.check == check }
        }
    }
}
