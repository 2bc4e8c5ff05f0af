internal import ArgumentParser
internal import PetalsCore
internal import ShardFetch

/// The command `petalsfs prefetch`.
struct Prefetch: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Fetches a model into the cache before it is read.")

    @Argument(help: "The model's name.")
    var name: String

    @Flag(help: "Return only when all of it is here.")
    var wait = false

    @OptionGroup var network: NetworkOptions
    @OptionGroup var uploads: UploadOptions
    @OptionGroup var common: CommonOptions

    func run() async throws {
        let conductor = Conductor(
            options: common, network: try network.temporary(uploads),
            title: "fetching")
        try await conductor.carryOut(.prefetch(name: name, wait: wait))
    }
}

/// The command `petalsfs pin`.
struct Pin: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Fetches a model and keeps it until it is unpinned.",
        discussion: """
            What is pinned does not count for --cache-size and stays when the mount ends. \
            Interrupted, it goes on where it was when it is run again.
            """)

    @Argument(help: "The model's name.")
    var name: String

    @OptionGroup var network: NetworkOptions
    @OptionGroup var uploads: UploadOptions
    @OptionGroup var output: OutputOptions
    @OptionGroup var common: CommonOptions

    func run() async throws {
        let conductor = Conductor(
            options: common, network: try network.temporary(uploads),
            title: "fetching")
        let result = try await conductor.perform(.pin(name: name))
        guard case .kept(let model) = result else { throw ControlResult.unexpected }
        if output.json { return try Output.printJSON(model) }
        Terminal.print("\(model.name): \(ByteCount(model.bytes)) pinned")
    }
}

/// The command `petalsfs unpin`.
struct Unpin: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Lets a pinned model be evicted again.",
        discussion: """
            Its shards are cached from then on, as far as --cache-size has room for them; those \
            that another pinned model needs stay pinned.
            """)

    @Argument(help: "The model's name.")
    var name: String

    @OptionGroup var output: OutputOptions
    @OptionGroup var common: CommonOptions

    func run() async throws {
        let result = try await Conductor(options: common).perform(.unpin(name: name))
        guard case .kept(let model) = result else { throw ControlResult.unexpected }
        if output.json { return try Output.printJSON(model) }
        Terminal.print("\(model.name): \(ByteCount(model.bytes)) pinned")
    }
}

/// The command `petalsfs evict`.
struct Evict: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Takes a model out of the cache now.",
        discussion: """
            What is published, held or pinned stays. A file that is open stays open, and what is \
            read of it is fetched again.
            """)

    @Argument(help: "The model's name.")
    var name: String

    @OptionGroup var output: OutputOptions
    @OptionGroup var common: CommonOptions

    func run() async throws {
        let result = try await Conductor(options: common, title: "evicting")
            .perform(.evict(name: name))
        guard case .evicted(let model) = result else { throw ControlResult.unexpected }
        if output.json { return try Output.printJSON(model) }
        Terminal.print(
            "\(model.name): \(ByteCount(model.bytes)) evicted, "
                + counted(model.cells, "cell"))
    }
}
