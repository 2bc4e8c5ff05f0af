internal import ArgumentParser
internal import Foundation
internal import PetalsCore
internal import ShardFetch

/// The command `petalsfs publish`.
struct Publish: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Publishes a file or a folder as a model and prints its link.",
        discussion: """
            The file stays where it is and is served from there; only parity and hashes are stored \
            beside it, and with --parity none only hashes: relays then make the parity. \
            Whoever has a public file can tell that you hold it; --private hides that. \
            A publication that was interrupted goes on when it is run again.
            """)

    @Argument(help: "The file or folder.", completion: .file())
    var path: String

    @Option(help: "The model's name; the file's name unless given.")
    var name: String?

    @Flag(name: .customLong("private"), help: "Seal with a random key instead of a derived one.")
    var isPrivate = false

    @Option(help: "The licence, as text.")
    var license: String?

    @Option(help: "Shards to read and shards in all, K/N, for each group.")
    var shards: String?

    @Option(help: "stored: keep the parity here; none: leave it to relays to make.")
    var parity: Publisher.Parity = .stored

    @OptionGroup var output: OutputOptions
    @OptionGroup var common: CommonOptions

    func run() async throws {
        try Usage.check(name: name)
        var request = ControlRequest.PublishRequest(
            path: URL(fileURLWithPath: path).standardizedFileURL.path, name: name,
            isPrivate: isPrivate, license: license, parity: parity)
        if let shards {
            let parts = shards.split(separator: "/").map { Int($0) }
            guard parts.count == 2, let k = parts[0], let n = parts[1],
                (1...Limits.dataShardsMax).contains(k),
                n > k, n <= Limits.groupShardsMax
            else {
                throw ValidationError(
                    "--shards takes K/N, for example 5/8, with K from 1 to \(Limits.dataShardsMax) "
                        + "and N from K+1 to \(Limits.groupShardsMax)")
            }
            request.dataShards = k
            request.groupShards = n
        }
        let conductor = Conductor(options: common, title: "publishing")
        let result = try await conductor.perform(.publish(request))
        guard case .published(let model) = result else { throw ControlResult.unexpected }
        if output.json { return try Output.printJSON(model) }
        Terminal.print("name    \(model.name)")
        Terminal.print("size    \(ByteCount(model.size)), stored \(ByteCount(model.stored))")
        Terminal.print("files   \(model.files.count)")
        if model.resumed > 0 {
            Terminal.print("resumed \(ByteCount(model.resumed)) that were sealed before")
        }
        if let replaced = model.replaced {
            Terminal.print(
                "instead of the version \(replaced.prefix(8)) of that name, whose link this node "
                    + "serves no more")
        }
        Terminal.print("relay   \(model.relay)")
        Terminal.print(model.link)
    }
}

/// The command `petalsfs add`.
struct Add: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Registers a model by its link, or a public file by its SHA-256.",
        discussion: """
            sha256:HEX asks peers for the public file with that SHA-256, which model hubs show for \
            every large file. It is compared with its SHA-256 when all of it is here. Files below \
            64 KiB cannot be found so.
            """)

    @Argument(
        help: """
            The link, or sha256:HEX; - reads it from standard input, where `ps` does not see it.
            """)
    var link: String

    @Option(help: "The name to register it under; the link's own unless given.")
    var name: String?

    @Option(
        help: """
            Seconds to look for a file that is given by its SHA-256, or for who signed a model.
            """)
    var timeout: Double = 30

    @OptionGroup var signatures: SignatureOptions
    @OptionGroup var network: NetworkOptions
    @OptionGroup var uploads: UploadOptions
    @OptionGroup var output: OutputOptions
    @OptionGroup var common: CommonOptions

    func run() async throws {
        guard timeout > 0, timeout < 1e7 else {
            throw ValidationError("--timeout takes a number of seconds above 0")
        }
        let text = try Output.link(link)
        try Usage.check(name: name)
        // Before a node is started for it.
        try Usage.check {
            guard case .link = try ModelReference(parsing: text) else { return }
            _ = try NodeService.readLink(text)
        }
        let conductor = Conductor(
            options: common, network: try network.temporary(uploads))
        let result = try await conductor.perform(
            .add(
                .init(
                    link: text, name: name, peers: network.peers, timeout: timeout,
                    rules: try signatures.rules())))
        guard case .model(let model) = result else { throw ControlResult.unexpected }
        if output.json { return try Output.printJSON(model) }
        Terminal.print(model.name)
    }
}

/// The command `petalsfs ls`.
struct List: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ls", abstract: "Lists the registered models.")

    @OptionGroup var output: OutputOptions
    @OptionGroup var common: CommonOptions

    func run() async throws {
        let result = try await Conductor(options: common).perform(.list)
        guard case .models(let models) = result else { throw ControlResult.unexpected }
        if output.json { return try Output.printJSON(models) }
        guard !models.isEmpty else {
            return Terminal.printError(
                "No model is registered; publish one, or add one with `petalsfs add LINK`.")
        }
        var table = TextTable(["NAME", "SIZE", "STORED", "HERE", "FILES", "FORMAT", "STATE"])
        for model in models {
            let percent = model.stored == 0 ? 0 : min(100, model.cached * 100 / model.stored)
            table.add([
                model.name, model.size == 0 ? "-" : "\(ByteCount(model.size))",
                model.stored == 0 ? "-" : "\(ByteCount(model.stored))", "\(percent) %",
                model.files == 0 ? "-" : "\(model.files)",
                model.format.isEmpty ? "-" : model.format,
                model.state,
            ])
        }
        Terminal.print(table.text)
    }
}

/// The command `petalsfs info`.
struct Info: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Shows what is known of a model, its link included.")

    @Argument(help: "The model's name.")
    var name: String

    @OptionGroup var output: OutputOptions
    @OptionGroup var common: CommonOptions

    func run() async throws {
        let result = try await Conductor(options: common).perform(.info(name: name))
        guard case .details(let model) = result else { throw ControlResult.unexpected }
        if output.json { return try Output.printJSON(model) }
        let summary = model.summary
        Terminal.print("name       \(summary.name)")
        Terminal.print("state      \(summary.state)")
        Terminal.print("manifest   \(summary.manifest)")
        Terminal.print("size       \(ByteCount(summary.size)), stored \(ByteCount(summary.stored))")
        Terminal.print("here       \(ByteCount(summary.cached))")
        if summary.parity == "none" { Terminal.print("parity     left to relays to make") }
        for file in summary.changedFiles { Terminal.print("changed    \(file.text)") }
        if !summary.format.isEmpty { Terminal.print("format     \(summary.format)") }
        if !summary.license.isEmpty { Terminal.print("license    \(summary.license)") }
        if let publisher = model.publisher { Terminal.print("publisher  \(publisher)") }
        if summary.check != nil { Terminal.print("publisher  not known: found by its SHA-256") }
        if let link = model.link { Terminal.print("link       \(link)") }
        Terminal.print("relay cap  \(model.relay)")
        guard !model.files.isEmpty else { return }
        var table = TextTable(["FILE", "SIZE", "STORED", "SHA-256"])
        for file in model.files {
            table.add([
                file.path, "\(ByteCount(file.size))", "\(ByteCount(file.stored))", file.sha256,
            ])
        }
        Terminal.print(table.text)
    }
}

/// The command `petalsfs rm`.
struct Remove: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rm",
        abstract: "Forgets a model and deletes its shards here; published files stay.")

    @Argument(help: "The model's name.")
    var name: String

    @OptionGroup var common: CommonOptions

    func run() async throws {
        try await Conductor(options: common).carryOut(.remove(name: name))
    }
}

/// What several commands do with their input and output.
enum Output {
    /// Prints one JSON document.
    static func printJSON(_ value: some Encodable) throws {
        Terminal.print(String(decoding: try JSONEncoder.petals.encode(value), as: UTF8.self))
    }

    /// The link that an argument gives or stands for.
    static func link(_ argument: String) throws -> String {
        guard argument == "-" else { return argument }
        guard let line = readLine() else {
            throw ValidationError("there is no link on standard input; pipe one in")
        }
        return line
    }
}

extension Publisher.Parity: ExpressibleByArgument {}
