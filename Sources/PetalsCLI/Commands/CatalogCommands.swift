internal import ArgumentParser
internal import Foundation
internal import PetalsCodec
internal import PetalsCore

/// The command `petalsfs catalog`.
struct Catalog: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Signs lists of models, and follows those of others.",
        discussion: """
            Who publishes models: `catalog create TITLE` makes a catalogue and prints its link, \
            `catalog add CATALOGUE MODEL` lists a model in it. Who reads: `catalog follow LINK` \
            shows all models of a catalogue in the mount, and new ones as they come.

            To keep the owner's key offline: `catalog key FILE` and `catalog delegate` on the \
            owner's machine, `catalog signer` and `catalog adopt` on the node that signs.

            CATALOGUE is a catalogue's title, its link, or the first letters of its key.
            """,
        subcommands: [
            CatalogCreate.self, CatalogAdd.self, CatalogRemove.self, CatalogShow.self,
            CatalogList.self, CatalogFollow.self, CatalogUnfollow.self, CatalogKey.self,
            CatalogDelegate.self, CatalogSigner.self, CatalogAdopt.self,
        ])
}

/// The owner's key, where it does not lie in the state folder.
struct OwnerKeyOption: ParsableArguments {
    @Option(help: "The file of the owner's key, where that is not in the state folder.")
    var ownerKey: String?

    /// As an absolute path, since the node works in another folder.
    var path: String? { ownerKey.map { URL(fileURLWithPath: $0).standardizedFileURL.path } }
}

/// The command `petalsfs catalog create`.
struct CatalogCreate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "create", abstract: "Makes a catalogue and prints its link.",
        discussion: """
            Its key is made in the state folder unless --owner-key names one. Whoever loses the \
            key cannot add to the catalogue any more: keep a copy.
            """)

    @Argument(help: "What the catalogue is called.")
    var title: String

    @OptionGroup var owner: OwnerKeyOption
    @OptionGroup var output: OutputOptions
    @OptionGroup var common: CommonOptions

    func run() async throws {
        try Usage.check { try CatalogueRecord.title(title).validate() }
        let details = try await Catalogues.perform(
            .create(title: title, ownerKey: owner.path), common)
        if output.json { return try Output.printJSON(details) }
        Terminal.print(details.summary.link)
    }
}

/// The command `petalsfs catalog add`.
struct CatalogAdd: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "add", abstract: "Lists a registered model in a catalogue.",
        discussion: """
            What is said of it comes from its manifest unless an option says otherwise. A name \
            that is listed already gets a new version.
            """)

    @Argument(help: "The catalogue.")
    var catalogue: String

    @Argument(help: "The registered model's name.")
    var model: String

    @Option(help: "The name in the catalogue; the model's own unless given.")
    var name: String?

    @Option(name: .customLong("version"), help: "The model's version, as text.")
    var modelVersion: String?

    @Option(help: "The licence, as text.")
    var license: String?

    @Option(help: "How many parameters the model has, as text.")
    var parameters: String?

    @Option(help: "How it is quantised, as text.")
    var quantization: String?

    @Option(help: "The repository that it comes from, as text.")
    var origin: String?

    @Option(help: "The commit of that repository, as text.")
    var commit: String?

    @Flag(help: "Let others hold the model, and not read it.")
    var relayOnly = false

    @OptionGroup var owner: OwnerKeyOption
    @OptionGroup var output: OutputOptions
    @OptionGroup var common: CommonOptions

    func run() async throws {
        try Usage.check(catalogue: catalogue)
        try Usage.check(name: name)
        let details = try await Catalogues.perform(
            .add(
                .init(
                    catalogue: catalogue, model: model, name: name, relayOnly: relayOnly,
                    version: modelVersion, license: license, parameters: parameters,
                    quantization: quantization, origin: origin, commit: commit,
                    ownerKey: owner.path)), common)
        try Catalogues.report(details, output)
    }
}

/// The command `petalsfs catalog remove`.
struct CatalogRemove: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "remove", abstract: "Withdraws a model from a catalogue.",
        discussion: "It leaves the folders of those who follow; that it was listed stays on record."
    )

    @Argument(help: "The catalogue.")
    var catalogue: String

    @Argument(help: "The model's name in the catalogue.")
    var name: String

    @OptionGroup var owner: OwnerKeyOption
    @OptionGroup var output: OutputOptions
    @OptionGroup var common: CommonOptions

    func run() async throws {
        try Usage.check(catalogue: catalogue)
        let details = try await Catalogues.perform(
            .withdraw(catalogue: catalogue, name: name, ownerKey: owner.path), common)
        try Catalogues.report(details, output)
    }
}

/// The command `petalsfs catalog follow`.
struct CatalogFollow: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "follow",
        abstract: "Shows a catalogue's models in the mount, and new ones as they come.",
        discussion: """
            A model whose name is taken here is shown as “NAME (TITLE)”. Nothing is fetched \
            before a model is opened, but for a few manifests. What the catalogue lists comes \
            to a node that runs, now or later; the addresses are kept for it.
            """)

    @Argument(help: "The catalogue's link, petals:c1:...")
    var link: String

    @OptionGroup var network: NetworkOptions
    @OptionGroup var uploads: UploadOptions
    @OptionGroup var output: OutputOptions
    @OptionGroup var common: CommonOptions

    func run() async throws {
        let text = try Output.link(link)
        _ = try Usage.check { try CatalogueLink(parsing: text) }
        // No node is started for it; what is wrong with them is told all the same.
        _ = try network.temporary(uploads)
        let details = try await Catalogues.perform(
            .follow(link: text, peers: network.peers), common)
        try Catalogues.report(details, output)
    }
}

/// The command `petalsfs catalog unfollow`.
struct CatalogUnfollow: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "unfollow", abstract: "Takes a catalogue's models away again.",
        discussion: """
            Models of which something is in the cache, and pinned ones, stay as your own; \
            `petalsfs rm` removes them.
            """)

    @Argument(help: "The catalogue.")
    var catalogue: String

    @OptionGroup var common: CommonOptions

    func run() async throws {
        try Usage.check(catalogue: catalogue)
        try await Conductor(options: common).carryOut(
            .catalogue(.unfollow(catalogue: catalogue)))
    }
}

/// The command `petalsfs catalog key`.
struct CatalogKey: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "key", abstract: "Makes an owner's key in a file, and prints the link.",
        discussion: """
            For a catalogue whose owner's key stays offline. No node and no state folder is needed.
            """)

    @Argument(help: "The file to make.")
    var file: String

    func run() async throws {
        let path = URL(fileURLWithPath: file).standardizedFileURL.path
        let key = try CatalogueKeys.make(at: path)
        Terminal.print(CatalogueLink(id: key.catalogueID).text)
    }
}

/// The command `petalsfs catalog delegate`.
struct CatalogDelegate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "delegate", abstract: "Lets a node sign a catalogue, until a day.",
        discussion: """
            Prints a delegation, which is no secret, for `petalsfs catalog adopt` on that node. \
            A new delegation ends all earlier ones. No node and no state folder is needed.
            """)

    @Option(help: "The file of the owner's key.")
    var ownerKey: String

    @Option(help: "The node's key, as `petalsfs catalog signer` prints it there.")
    var to: String

    @Option(help: "How long it may sign: a number of days or hours, for example 90d or 12h.")
    var expires: String

    func run() async throws {
        guard let delegate = Base32.decode(to).flatMap({ Digest($0) }) else {
            throw ValidationError("--to takes the 52 letters and digits of a node's key")
        }
        let now = Int(Date().timeIntervalSince1970)
        let span = try Catalogues.seconds(expires)
        let key = try CatalogueKeys.require(
            URL(fileURLWithPath: ownerKey).standardizedFileURL.path)
        let delegation = CatalogueDelegation(
            owner: key.catalogueID, delegate: delegate, issue: now, notBefore: now,
            expiresAt: now + span)
        Terminal.print(CatalogueSigning.delegate(delegation, owner: key).text)
    }
}

/// The command `petalsfs catalog signer`.
struct CatalogSigner: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "signer", abstract: "Prints the key with which this node signs.")

    @OptionGroup var common: CommonOptions

    func run() async throws {
        let result = try await Conductor(options: common).perform(.catalogue(.signer))
        guard case .text(let key) = result else { throw ControlResult.unexpected }
        Terminal.print(key)
    }
}

/// The command `petalsfs catalog adopt`.
struct CatalogAdopt: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "adopt", abstract: "Signs a catalogue with a delegation of its owner.")

    @Argument(help: "The delegation, petals:d1:...")
    var delegation: String

    @Option(help: "What the catalogue is called, where it begins here.")
    var title: String?

    @OptionGroup var output: OutputOptions
    @OptionGroup var common: CommonOptions

    func run() async throws {
        let text = try Output.link(delegation)
        try Usage.check {
            _ = try SignedDelegation(parsingText: text)
            if let title { try CatalogueRecord.title(title).validate() }
        }
        let details = try await Catalogues.perform(
            .adopt(delegation: text, title: title), common)
        if output.json { return try Output.printJSON(details) }
        Terminal.print(details.summary.link)
    }
}
