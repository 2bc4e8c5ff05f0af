internal import Foundation
internal import Glibc
internal import Testing

extension MountTests {
    /// What must not be anywhere: keys in logs, plaintext and names on relays.
    @Suite struct SecrecyTests {
        /// No process that was handed a link lets it, or a key of it, out into its log, its status,
        /// its attributes or its command line.
        @Test func noLinkOrKeyInAnyLog() async throws {
            try await World.with { world in
                let swarm = try await Swarm.make(world)
                _ = try await world.petals("reader", "add", "-", "-vv", input: swarm.report.link)
                    .succeeded()
                let relays = try await swarm.serve([0, 1])
                let mounted = try await world.mount("reader", [], peers: relays.map(\.address))
                let processes = try await world.run("ps", "axww", "-o", "args")
                _ = try await world.run("cmp", mounted.path(swarm.name), swarm.source).succeeded()
                let attributes = try await world.run(
                    "getfattr", "-d", "-m", "-", mounted.path(swarm.name))
                let shown = try await world.run(
                    "sh", "-c", "cat \(mounted.directory)/.petalsfs/*.json")
                let status = try await world.petals("reader", "status", "--json")
                try await mounted.unmount(world)
                for relay in relays { relay.child.send(SIGTERM) }
                for relay in relays { _ = try await relay.child.finish() }

                var texts = [
                    "ps": processes.output, "attributes": attributes.output,
                    "status files": shown.output, "status": status.output,
                ]
                let logs = world.path("logs")
                for name in try FileManager.default.contentsOfDirectory(atPath: logs)
                where name.hasSuffix(".err") {
                    texts[name] = try String(contentsOfFile: "\(logs)/\(name)", encoding: .utf8)
                }
                #expect(texts.count > 8)
                #expect(attributes.output.contains("user.petals.sha256"), attributes.told)
                for secret in try await world.secrets(of: swarm.report) {
                    for (place, text) in texts {
                        #expect(!text.contains(secret), "\(secret.prefix(12)) is in \(place)")
                    }
                }
            }
        }

        /// A relay's disk has no 48-byte run of the plaintext, no file name, and no read key.
        @Test func relaysKnowNothing() async throws {
            try await World.with { world in
                let source = try world.makeFolder("conspicuous-model")
                _ = try await Samples.noise(world, "conspicuous-model/peculiar.bin", bytes: 700_001)
                _ = try await Samples.text(
                    world, "conspicuous-model/striking.txt", lines: 20_000)
                _ = try await Samples.text(world, "conspicuous-model/tiny.txt", lines: 40)
                let swarm = try await Swarm.make(world, source: source, parts: ["0,1,2,3"])
                let relay = try await swarm.serve(0)
                let mounted = try await swarm.mount([relay])
                let same = try await world.run("diff", "-r", mounted.path(swarm.name), source)
                #expect(same.code == 0, same.told)
                relay.child.send(SIGTERM)
                _ = try await relay.child.finish()
                let finished = try await world.python(
                    Self.search, source, world.path("relay0"), swarm.report.link)
                #expect(finished.text == "nothing", finished.told)
                // The search finds what is there: the publisher knows the names.
                let control = try await world.python(
                    Self.search, source, world.path("publisher"), swarm.report.link)
                #expect(control.text != "nothing", control.told)
            }
        }

        /// Every run of 48 bytes contains 16 that begin at a multiple of 16.
        private static let search = """
            import base64, os, sys
            source, state, link = sys.argv[1:]
            def files(root):
                for folder, _, names in os.walk(root):
                    for name in names:
                        path = os.path.join(folder, name)
                        if os.path.isfile(path): yield path
            blocks = set()
            words = [os.path.basename(source).encode()]
            for path in files(source):
                words.append(os.path.basename(path).encode())
                data = open(path, 'rb').read()
                blocks.update(data[i:i + 16] for i in range(0, len(data) - 15, 16))
            body = link.split(':')[2].split('?')[0].upper()
            key = base64.b32decode(body + '=' * (-len(body) % 8))[:32]
            words += [key, key.hex().encode(), body[:50].lower().encode()]
            found = []
            for path in files(state):
                data = open(path, 'rb').read()
                found += [(path, word) for word in words if word in data]
                if any(data[i:i + 16] in blocks for i in range(len(data) - 15)):
                    found.append((path, 'plaintext'))
            print(found or 'nothing')
            """

        /// Two nodes that publish the same file under other names serve one swarm; each has half.
        @Test func publishersOfOneFileServeOneSwarm() async throws {
            try await World.with { world in
                let source = try await Samples.noise(world, "model.gguf")
                let report = try await world.publish(source, "--shards", "2/4")
                _ = try world.makeFolder("elsewhere/in")
                let copy = try await Samples.noise(world, "elsewhere/in/other.bin")
                let tree = try await world.petals(
                    "second", "publish", world.path("elsewhere"), "--json", "--shards", "2/4"
                ).decode(PublishReport.self)
                #expect(tree.files.map(\.blob) == report.files.map(\.blob))
                // The first publisher lends its manifest and goes; the second has all the bytes.
                let first = try await world.serve("publisher")
                _ = try await world.petals("reader", "add", report.link).succeeded()
                var mounted = try await world.mount("reader", [], peers: [first.address])
                try await mounted.unmount(world)
                first.child.send(SIGKILL)
                _ = try await first.child.finish()
                let second = try await world.serve("second")
                mounted = try await world.mount("reader", [], peers: [second.address])
                let same = try await world.run("cmp", mounted.path("model.gguf"), copy)
                #expect(same.code == 0, same.told)
            }
        }
    }
}

extension World {
    /// The spellings of what a link grants: its text and its keys.
    func secrets(of report: PublishReport) async throws -> [String] {
        var secrets: [String] = []
        for link in [report.link, report.relay] {
            let body = link.split(separator: ":")[2].prefix { $0 != "?" }
            secrets.append(String(body.prefix(50)))
            let key = try await python(
                """
                import base64, sys
                body = sys.argv[1].upper()
                key = base64.b32decode(body + '=' * (-len(body) % 8))[:32]
                print(key.hex())
                print(base64.b64encode(key).decode()[:40])
                """, String(body)
            ).succeeded()
            secrets += key.split(separator: "\n").map(String.init)
        }
        return secrets
    }
}
