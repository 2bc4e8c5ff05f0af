internal import Foundation
internal import Glibc
internal import Testing

/// A command as the program itself describes it (`--experimental-dump-help`).
private struct CommandDump: Decodable {
    struct Argument: Decodable {
        struct Name: Decodable {
            let kind: String
            let name: String
        }

        let kind: String
        let isOptional: Bool
        let valueName: String?
        let preferredName: Name?

        /// The option as a person types it.
        var typed: String {
            guard let name = preferredName else { return valueName ?? "" }
            return (name.kind == "short" ? "-" : "--") + name.name
        }
    }

    let commandName: String
    let arguments: [Argument]?
    let subcommands: [CommandDump]?

    /// All commands that do something, each with the words that call it.
    func all(after path: [String] = []) -> [(words: [String], arguments: [Argument])] {
        let below = (subcommands ?? []).filter { $0.commandName != "help" }
        guard below.isEmpty else {
            return below.flatMap { $0.all(after: path + [$0.commandName]) }
        }
        return [(path, arguments ?? [])]
    }
}

extension MountTests {
    /// 2 for what the command line alone shows to be wrong: every command, every option.
    ///
    /// The commands and their options come from the program, so that a new one is in here; the
    /// wrong values come from the table below, where a new option has to be entered.
    @Suite struct ExitCodeTests {
        /// A value for each option and argument that no machine makes right.
        private static let wrong: [String: String] = [
            "--listen": "nonsense", "--peer": "nonsense", "--dht-bootstrap": "nonsense",
            "--dht-listen": "nonsense", "--memory": "much", "--cache-size": "much",
            "--cache-free": "-1", "--donate": "much", "--upload-limit": "much",
            "--upload-times": "never", "--times": "never", "--timeout": "0",
            "--read-timeout": "0", "--shards": "two", "--parity": "some", "-o": "rw",
            "--publisher": "nobody", "--log-format": "xml", "--to": "nobody", "--expires": "soon",
            "--name": "a/b", "--title": "a\tb", "--follow": "nonsense", "link": "nonsense",
            "delegation": "nonsense", "title": "a\tb", "rate": "much", "links": "nonsense",
            "models": "nonsense", "catalogue": "petals:c1:x",
        ]

        /// Texts of any kind, names of what may be here, and paths.
        private static let free: Set<String> = [
            "--state", "--owner-key", "--relay-caps", "--license", "--version", "--parameters",
            "--quantization", "--origin", "--commit", "path", "name", "model", "directory",
            "file",
        ]

        /// What an option needs beside it.
        private static let companions = [
            "--publisher": ["--require-signed"], "models": ["--donate", "1G"],
        ]

        @Test func everyWrongValueIsWrongUsage() async throws {
            try await World.with { world in
                let (commands, right) = try await Self.arrange(world)
                for command in commands {
                    for argument in command.arguments where argument.kind != "flag" {
                        let name = argument.typed
                        guard let value = Self.wrong[name] else {
                            #expect(Self.free.contains(name), "enter \(name) in a table")
                            continue
                        }
                        var line = command.words
                        for other in command.arguments where other.kind == "positional" {
                            if other.typed == name { line.append(value) }
                            guard !other.isOptional, other.typed != name else { continue }
                            line.append(try #require(right[Self.key(other.typed, command.words)]))
                        }
                        for other in command.arguments
                        where other.kind == "option" && !other.isOptional && other.typed != name {
                            line += [other.typed, try #require(right[other.typed])]
                        }
                        if argument.kind == "option" {
                            line += name == "-o" ? [name, value] : ["\(name)=\(value)"]
                        }
                        line += Self.companions[name] ?? []
                        let finished = try await Self.run(line, of: command.arguments, world)
                        expectRefusal(finished, saying: " ", code: 2)
                        let told =
                            finished.errors.contains(name.drop { $0 == "-" })
                            || argument.kind != "option"
                            || finished.errors.contains(value)
                        #expect(told, "\(line): \(finished.errors)")
                    }
                }
                #expect(!FileManager.default.fileExists(atPath: world.path("none")))
            }
        }

        /// Every command with an option that none has, and without what it cannot do without.
        @Test func everyCommandRefusesWhatItDoesNotKnow() async throws {
            try await World.with { world in
                let (commands, _) = try await Self.arrange(world)
                #expect(commands.count > 25)
                for command in commands {
                    let unknown = try await Self.run(
                        command.words + ["--nonsense"], of: command.arguments, world)
                    #expect(unknown.code == 2 && !unknown.errors.isEmpty, unknown.told)
                    guard command.arguments.contains(where: { !$0.isOptional && $0.kind != "flag" })
                    else { continue }
                    let bare = try await Self.run(command.words, of: command.arguments, world)
                    #expect(bare.code == 2 && !bare.errors.isEmpty, bare.told)
                }
                #expect(!FileManager.default.fileExists(atPath: world.path("none")))
            }
        }

        /// All commands, and right values for what they cannot do without.
        private static func arrange(
            _ world: World
        ) async throws -> (
            commands: [(words: [String], arguments: [CommandDump.Argument])],
            right: [String: String]
        ) {
            struct Dump: Decodable {
                let command: CommandDump
            }
            let dump = try await world.run("petalsfs", "--experimental-dump-help")
            let key = world.path("key")
            _ = try await world.run("petalsfs", "catalog", "key", key).succeeded()
            let signer = try await world.petals("signer", "catalog", "signer").succeeded()
            let delegation = try await world.run(
                "petalsfs", "catalog", "delegate", "--owner-key", key, "--to", signer, "--expires",
                "1d"
            ).succeeded()
            // A key and an id of zeros; the form from before there was a checksum.
            let zeros = { String(repeating: "a", count: $0) }
            let right = [
                "path": world.path("file"), "link": "petals:r1:" + zeros(103), "name": "x",
                "title": "x", "catalogue": "x", "model": "x", "file": world.path("other"),
                "delegation": delegation, "directory": try world.makeFolder("void"), "rate": "1M",
                "follow link": "petals:c1:" + zeros(52), "--owner-key": key, "--to": signer,
                "--expires": "1d",
            ]
            return (try dump.decode(Dump.self).command.all(), right)
        }

        /// A link is another in `catalog follow`.
        private static func key(_ name: String, _ words: [String]) -> String {
            name == "link" && words.last == "follow" ? "follow link" : name
        }

        private static func run(
            _ line: [String], of arguments: [CommandDump.Argument], _ world: World
        ) async throws -> Finished {
            let hasState = arguments.contains { $0.typed == "--state" }
            let state = hasState ? ["--state", world.path("none")] : []
            return try await world.start(["petalsfs"] + line + state).finish()
        }
    }
}
