internal import Foundation
internal import Glibc
internal import Testing

extension MountTests {
    /// Bad input gets one clear sentence and a non-zero exit, and loses nothing.
    @Suite struct BadInputTests {
        /// A wrong command line, and what the answer must say.
        struct Mistake: Sendable, CustomTestStringConvertible {
            let name: String
            /// `{}` stands for the test's folder, `{relay}` and `{link}` for a model's.
            let arguments: [String]
            let phrase: String
            var code = 1

            var testDescription: String { name }
        }

        static let mistakes: [Mistake] = [
            .init(
                name: "missing path", arguments: ["publish", "{}/no"], phrase: "there is no file"),
            .init(name: "empty file", arguments: ["publish", "{}/empty"], phrase: "is empty"),
            .init(name: "empty folder", arguments: ["publish", "{}/void"], phrase: "is empty"),
            .init(name: "a device", arguments: ["publish", "/dev/null"], phrase: "neither a file"),
            .init(
                name: "a link to a folder inside", arguments: ["publish", "{}/linked"],
                phrase: "link to a folder"),
            .init(
                name: "a name with a slash", arguments: ["publish", "{}/file", "--name", "a/b"],
                phrase: "name", code: 2),
            .init(
                name: "more data than shards",
                arguments: ["publish", "{}/file", "--shards", "4/4"], phrase: "--shards takes",
                code: 2),
            .init(
                name: "no number", arguments: ["publish", "{}/file", "--shards", "two"],
                phrase: "--shards takes", code: 2),
            .init(name: "no argument", arguments: ["publish"], phrase: "<path>", code: 2),
            .init(
                name: "not a link", arguments: ["add", "hello"], phrase: "not a petalsfs link",
                code: 2),
            .init(
                name: "a truncated link", arguments: ["add", "petals:r1:abc"], phrase: "cut off",
                code: 2),
            .init(
                name: "a relay cap added", arguments: ["add", "{relay}"], phrase: "relay cap",
                code: 2),
            .init(
                name: "a relay cap mounted", arguments: ["mount", "{}/void", "{relay}"],
                phrase: "relay cap", code: 2),
            .init(
                name: "a SHA-256 that is cut off", arguments: ["add", "sha256:0123abcd"],
                phrase: "64 hexadecimal digits", code: 2),
            .init(
                name: "a SHA-256 mounted", arguments: ["mount", "{}/void", "sha256:0123abcd"],
                phrase: "petalsfs add sha256:HEX", code: 2),
            .init(
                name: "nobody to ask for a file",
                arguments: ["add", "sha256:" + String(repeating: "ab", count: 32)],
                phrase: "--peer HOST:PORT"),
            .init(
                name: "no time to look for a file",
                arguments: [
                    "add", "sha256:" + String(repeating: "ab", count: 32), "--timeout", "0",
                ],
                phrase: "--timeout takes", code: 2),
            .init(
                name: "no link on standard input", arguments: ["add", "-"],
                phrase: "no link on standard input", code: 2),
            .init(
                name: "holding what is no link", arguments: ["hold", "hello"],
                phrase: "not a petalsfs link", code: 2),
            .init(
                name: "a missing mount point", arguments: ["mount", "{}/no"],
                phrase: "there is no directory"),
            .init(
                name: "a file as mount point", arguments: ["mount", "{}/file"],
                phrase: "not a directory"),
            .init(
                name: "a full mount point", arguments: ["mount", "{}/linked"],
                phrase: "is not empty"),
            .init(
                name: "a mount of somebody else", arguments: ["mount", "/proc"],
                phrase: "mount of type"),
            .init(
                name: "a writable mount", arguments: ["mount", "{}/void", "-o", "rw"],
                phrase: "read-only", code: 2),
            .init(
                name: "a read timeout of nothing",
                arguments: ["mount", "{}/void", "--read-timeout", "0"], phrase: "--read-timeout",
                code: 2),
            .init(
                name: "an address that is none",
                arguments: ["mount", "{}/void", "--peer", "nonsense"], phrase: "nonsense", code: 2),
            .init(
                name: "somebody else's address", arguments: ["serve", "--listen", "192.0.2.1:9"],
                phrase: "cannot listen on"),
            .init(
                name: "unmounting what is not mounted", arguments: ["umount", "{}/void"],
                phrase: "not a mount of petalsfs"),
            .init(name: "an unknown model", arguments: ["info", "no"], phrase: "no model named"),
            .init(name: "removing one", arguments: ["rm", "no"], phrase: "no model named"),
            .init(name: "pinning one", arguments: ["pin", "no"], phrase: "no model named"),
            .init(name: "unpinning one", arguments: ["unpin", "no"], phrase: "no model named"),
            .init(name: "evicting one", arguments: ["evict", "no"], phrase: "no model named"),
            .init(
                name: "a cache of nothing",
                arguments: ["mount", "{}/void", "--cache-size", "0"], phrase: "--cache-size takes",
                code: 2),
            .init(
                name: "a cache of no size", arguments: ["serve", "--cache-size", "much"],
                phrase: "--cache-size takes", code: 2),
            .init(
                name: "a memory of no size", arguments: ["serve", "--memory", "much"],
                phrase: "--memory takes a size", code: 2),
            .init(
                name: "a floor of no size", arguments: ["serve", "--cache-free", "-1"],
                phrase: "--cache-free", code: 2),
        ]

        /// All mistakes on one state: each is told, and the model that was there stays.
        @Test func mistakesAreToldAndLoseNothing() async throws {
            try await World.with { world in
                let report = try await world.prepareMistakes()
                for mistake in Self.mistakes {
                    let arguments = mistake.arguments.map {
                        $0.replacing("{}", with: world.folder)
                            .replacing("{relay}", with: report.relay)
                    }
                    let finished = try await world.start(
                        ["petalsfs"] + arguments + ["--state", world.path("publisher")]
                    ).finish()
                    print("\(mistake.name): \(finished.errors)", terminator: "")
                    expectRefusal(finished, saying: mistake.phrase, code: mistake.code)
                }
                try await world.expectUnharmed(report)
            }
        }

        /// A file that may not be read, with root's right to read everything given up.
        @Test func unreadableFile() async throws {
            try await World.with { world in
                let report = try await world.prepareMistakes()
                _ = try await world.run("chmod", "000", world.path("file")).succeeded()
                let ordinary =
                    Machine.isRoot
                    ? [
                        "setpriv", "--bounding-set=-dac_override,-dac_read_search",
                        "--inh-caps=-all",
                    ]
                    : []
                for path in ["file", "tree"] {
                    let finished = try await world.start(
                        ordinary + [
                            "petalsfs", "publish", world.path(path), "--state",
                            world.path("publisher"),
                        ]
                    ).finish()
                    expectRefusal(finished, saying: "/file")
                }
                try await world.expectUnharmed(report)
            }
        }

        /// A file that somebody writes to all the while is not published.
        @Test func changingFile() async throws {
            try await World.with { world in
                let report = try await world.prepareMistakes()
                let source = try await Samples.noise(world, "changing.gguf", bytes: 8_000_000)
                let writer = try world.start([
                    "python3", "-c",
                    """
                    import os, sys, time
                    with open(sys.argv[1], 'r+b', buffering=0) as file:
                        print('writing', flush=True)
                        while True:
                            file.seek(4000000)
                            file.write(os.urandom(16))
                            time.sleep(0.001)
                    """, source,
                ])
                try await World.wait("the writer") { writer.output.contains("writing") }
                let finished = try await world.petals("publisher", "publish", source)
                expectRefusal(finished, saying: "changed while")
                writer.destroy()
                try await world.expectUnharmed(report)
            }
        }

        /// A published file that changes later is not served, and `verify` says so.
        @Test func fileChangedAfterwards() async throws {
            try await World.with { world in
                let source = try await Samples.noise(world, "model.gguf")
                _ = try await world.publish(source, "--shards", "2/4")
                let bytes = try await Samples.noise(world, "model.gguf", seed: 2)
                #expect(bytes == source)
                let verify = try await world.petals("publisher", "verify", "--json")
                #expect(verify.code == 1, verify.told)
                #expect(try verify.decode(VerifyReport.self).changedFiles == [source])
            }
        }

        /// A state folder that a newer petalsfs made is left alone.
        @Test func newerState() async throws {
            try await World.with { world in
                let report = try await world.prepareMistakes()
                let version = URL(fileURLWithPath: world.path("publisher/VERSION"))
                let ours = try Data(contentsOf: version)
                try Data("petalsfs state 99\n".utf8).write(to: version)
                for command in ["ls", "verify", "serve"] {
                    let finished = try await world.petals("publisher", command)
                    expectRefusal(finished, saying: "newer petalsfs")
                }
                try ours.write(to: version)
                try await world.expectUnharmed(report)
            }
        }

        /// Without /dev/fuse, the answer is how to get it.
        @Test(.enabled("needs root, to hide a device") { Machine.isRoot })
        func noFuseDevice() async throws {
            try await World.with { world in
                let directory = try world.makeFolder("empty")
                let finished = try await world.start([
                    "unshare", "-m", "sh", "-c",
                    "mount -t tmpfs none /dev && exec \"$@\"", "sh", Machine.program, "mount",
                    directory, "--state", world.path("reader"), "--no-lan", "--no-dht",
                ]).finish()
                expectRefusal(finished, saying: "/dev/fuse is missing")
            }
        }

        /// A full disk: publishing says so and loses nothing; reading goes on without the cache.
        @Test(.enabled("needs root, for a small disk") { Machine.isRoot })
        func fullDisk() async throws {
            try await World.with { world in
                let swarm = try await Swarm.make(world, parts: ["0,1"])
                let relay = try await swarm.serve(0)
                let small = try await Samples.noise(world, "small.gguf", bytes: 200_000)
                let state = try world.makeFolder("full")
                let directory = try world.makeFolder("mnt-full")
                let finished = try await world.start(
                    [
                        "unshare", "-m", "sh", "-c", Self.fullDiskScript, "sh", Machine.program,
                        state, small, swarm.source, directory, relay.address,
                    ], input: swarm.report.link
                ).finish()
                #expect(finished.text == "1 2\nsmall.gguf\nclean\nsame\n0", finished.told)
                #expect(finished.errors.contains("disk is full"), finished.told)
            }
        }

        /// Publishes what fits and what does not, looks, and reads through a mount without room.
        ///
        /// Prints the lines that the test compares.
        private static let fullDiskScript = """
            set -u
            petalsfs=$1 state=$2 small=$3 large=$4 directory=$5 relay=$6
            mount -t tmpfs -o size=1500k none "$state" || exit 9
            "$petalsfs" publish "$small" --state "$state" >/dev/null || exit 8
            "$petalsfs" publish "$large" --shards 2/4 --state "$state" >/dev/null 2>"$state.err"
            echo $? $(wc -l <"$state.err" | sed s/1/2/)
            cat "$state.err" >&2
            "$petalsfs" ls --json --state "$state" | grep -o 'small.gguf'
            "$petalsfs" verify --state "$state" | grep -o '^clean'
            "$petalsfs" add - --state "$state" >/dev/null
            "$petalsfs" mount "$directory" --state "$state" --peer "$relay" --no-lan --no-dht \\
                --listen 127.0.0.1:0 >"$state.out" 2>"$state.log" &
            mounted=$!
            while ! grep -q ready "$state.out" && kill -0 $mounted; do sleep 0.05; done
            cmp "$directory/$(basename "$large")" "$large" && echo same
            kill $mounted
            wait $mounted
            echo $?
            """
    }
}

extension World {
    /// A state with one small model, and things around it that cannot be published.
    func prepareMistakes() async throws -> PublishReport {
        let source = try await Samples.noise(self, "good.gguf", bytes: 100_000)
        let report = try await publish(source)
        _ = try await Samples.noise(self, "file", bytes: 70_000)
        try Data().write(to: URL(fileURLWithPath: path("empty")))
        for folder in ["void", "linked", "tree"] { _ = try makeFolder(folder) }
        _ = try await run("ln", "-s", path("void"), path("linked/folder")).succeeded()
        _ = try await run("ln", path("file"), path("tree/file")).succeeded()
        return report
    }

    /// Expects that the one model of a state is still there and whole.
    func expectUnharmed(_ report: PublishReport) async throws {
        let models = try await petals("publisher", "ls", "--json").decode([ModelReport].self)
        #expect(models.map(\.name) == [report.name])
        #expect(models.map(\.manifest) == [report.manifest])
        try await expectClean("publisher")
    }
}
