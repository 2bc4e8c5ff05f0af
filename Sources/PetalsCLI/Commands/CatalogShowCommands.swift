internal import ArgumentParser
internal import Foundation
internal import PetalsCore

/// The command `petalsfs catalog ls`.
struct CatalogList: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ls", abstract: "Lists the catalogues that are followed or signed here.")

    @OptionGroup var output: OutputOptions
    @OptionGroup var common: CommonOptions

    func run() async throws {
        let result = try await Conductor(options: common).perform(.catalogue(.list))
        guard case .catalogues(let catalogues) = result else { throw ControlResult.unexpected }
        if output.json { return try Output.printJSON(catalogues) }
        guard !catalogues.isEmpty else {
            return Terminal.printError(
                "No catalogue is followed or signed here; make one with `petalsfs catalog create "
                    + "TITLE`, or follow one with `petalsfs catalog follow LINK`.")
        }
        var table = TextTable(["TITLE", "MODELS", "SEQUENCE", "STATE", "LINK"])
        for catalogue in catalogues {
            table.add([
                catalogue.title, "\(catalogue.models)", "\(catalogue.sequence)", catalogue.state,
                catalogue.link,
            ])
        }
        Terminal.print(table.text)
    }
}

/// The command `petalsfs catalog show`.
struct CatalogShow: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show", abstract: "Shows what a catalogue lists, and who signed it.")

    @Argument(help: "The catalogue.")
    var catalogue: String

    @OptionGroup var output: OutputOptions
    @OptionGroup var common: CommonOptions

    func run() async throws {
        try Usage.check(catalogue: catalogue)
        let details = try await Catalogues.perform(.show(catalogue: catalogue), common)
        if output.json { return try Output.printJSON(details) }
        show(details)
    }

    private func show(_ details: CatalogueDetails) {
        let summary = details.summary
        Terminal.print("title      \(summary.title)")
        Terminal.print("link       \(summary.link)")
        Terminal.print("state      \(summary.state)")
        Terminal.print("sequence   \(summary.sequence)")
        if let signer = details.signer, let signedAt = details.signedAt {
            let who = details.delegated ? "the owner's delegate \(signer)" : "its owner"
            Terminal.print("signed     \(Catalogues.date(signedAt)) by \(who)")
        }
        if let end = details.delegationExpiresAt {
            let isOver = Date().timeIntervalSince1970 > Double(end)
            Terminal.print(
                "delegated  until \(Catalogues.date(end))"
                    + (isOver ? ", which is over: nothing newer is accepted" : ""))
        }
        if let heardAt = summary.heardAt {
            Terminal.print("heard of   \(Catalogues.date(heardAt))")
        }
        Terminal.print("peers      \(summary.peers) connected that follow it")
        for refusal in details.refusals {
            Terminal.print(
                "refused    \(Catalogues.date(refusal.seenAt)), from \(refusal.teller): "
                    + refusal.reason)
        }
        for proof in details.evidence {
            Terminal.print(
                "two tales  \(Catalogues.date(proof.seenAt)): sequence \(proof.offeredSequence) "
                    + "does not agree with \(proof.knownSequence); --json shows both heads")
        }
        for ignored in details.ignored { Terminal.print("ignored    \(ignored)") }
        guard !details.entries.isEmpty else { return }
        var table = TextTable([
            "NAME", "VERSION", "SIZE", "FORMAT", "LICENSE", "PARAMETERS", "QUANTIZATION", "HERE",
        ])
        for entry in details.entries {
            let metadata = entry.metadata
            let texts = [
                metadata.format, metadata.license, metadata.parameters, metadata.quantization,
            ]
            table.add(
                [entry.name, metadata.version.isEmpty ? "-" : metadata.version]
                    + ["\(ByteCount(entry.size))"] + texts.map { $0.isEmpty ? "-" : $0 }
                    + [entry.readable ? entry.shownAs ?? "-" : "may be held only"])
        }
        Terminal.print(table.text)
    }
}

extension CatalogueSummary {
    /// The catalogue's state for people.
    var state: String {
        let roles = [own ? "signed here" : nil, followed ? "followed" : nil].compactMap { $0 }
        return
            (roles + [sequence == 0 ? "has not come yet" : nil].compactMap { $0 }
            + (evidence > 0 ? ["its signer told two stories"] : []))
            .joined(separator: ", ")
    }
}

/// What the commands about catalogues share.
enum Catalogues {
    /// Carries out a request that is answered by a catalogue.
    static func perform(
        _ request: CatalogueRequest, _ common: CommonOptions
    ) async throws -> CatalogueDetails {
        let result = try await Conductor(options: common).perform(.catalogue(request))
        guard case .catalogue(let details) = result else { throw ControlResult.unexpected }
        return details
    }

    /// One line about what a catalogue is now.
    static func report(_ details: CatalogueDetails, _ output: OutputOptions) throws {
        if output.json { return try Output.printJSON(details) }
        let summary = details.summary
        Terminal.print(
            summary.sequence == 0
                ? "\(summary.title): its list comes when a node runs here and meets one that has it"
                : "\(summary.title): sequence \(summary.sequence), "
                    + counted(summary.models, "model"))
    }

    /// A moment for people, in UTC.
    static func date(_ seconds: Int) -> String {
        Date(timeIntervalSince1970: Double(seconds)).formatted(.iso8601)
    }

    /// A span of days or hours, in seconds; at most a hundred years.
    static func seconds(_ text: String) throws -> Int {
        let units: [Character: Int] = ["d": 86_400, "h": 3_600]
        guard let unit = text.last.flatMap({ units[$0] }), let count = Int(text.dropLast()),
            (1...36_500).contains(count)
        else {
            throw ValidationError("--expires takes days or hours, for example 90d or 12h")
        }
        return count * unit
    }
}
