internal import Foundation
internal import PetalsCodec
internal import PetalsCore
internal import PetalsStore
internal import ShardFetch

// What commands say of catalogues.

extension NodeService {
    /// The catalogue that a user means: by its link, its title, or the start of its key.
    ///
    /// - Throws: `PetalsError.notFound`, or `.badInput` where several are meant.
    func find(_ text: String) throws(PetalsError) -> CatalogueRow {
        // Before it is repeated in a sentence: the link of a model is a secret.
        if let kind = LinkKind(of: text), kind != .catalogue {
            throw PetalsError(.badInput, kind.advice)
        }
        let rows = try store.registry.catalogues()
        let found: [CatalogueRow]
        if CatalogueLink.isMeant(by: text) {
            let id = try CatalogueLink(parsing: text).id
            found = rows.filter { $0.id == id }
        } else {
            var titled: [CatalogueRow] = []
            for row in rows where try title(of: row) == text { titled.append(row) }
            found =
                !titled.isEmpty || text.utf8.count < 6
                ? titled
                : rows.filter {
                    Base32.encode($0.id.bytes).hasPrefix(text.lowercased())
                        || $0.id.hex.hasPrefix(text.lowercased())
                }
        }
        guard let row = found.first else {
            throw Self.unknownCatalogue(text)
        }
        guard found.count == 1 else {
            throw PetalsError(
                .badInput,
                "\(found.count) catalogues here are called “\(ModelPath.printable(text))”; name "
                    + "one by its link, as `petalsfs catalog ls` shows it")
        }
        return row
    }

    static func unknownCatalogue(_ text: String) -> PetalsError {
        PetalsError(
            .notFound,
            "no catalogue “\(ModelPath.printable(text))” is followed or signed here; "
                + "`petalsfs catalog ls` shows those that are")
    }

    func title(of row: CatalogueRow) throws(PetalsError) -> String {
        let title = try store.registry.catalogueLog(of: row.id)?.title ?? ""
        return title.isEmpty ? row.name : title
    }

    /// All catalogues, a line each.
    func catalogueSummaries() throws(PetalsError) -> [CatalogueSummary] {
        var summaries: [CatalogueSummary] = []
        for row in try store.registry.catalogues() { summaries.append(try summary(row)) }
        return summaries
    }

    private func summary(_ row: CatalogueRow) throws(PetalsError) -> CatalogueSummary {
        let log = try store.registry.catalogueLog(of: row.id)
        let title = try title(of: row)
        let facts = node?.catalogueFacts(row.id)
        let hints = [node?.listening].compactMap { $0 }
            .filter { !["0.0.0.0", "::"].contains($0.host) }.map(\.description)
        return CatalogueSummary(
            title: title,
            link: CatalogueLink(
                id: row.id, name: ModelPath.hint(title), peers: row.isOwn ? hints : []
            ).text,
            own: row.isOwn, followed: row.isFollowed, models: log?.entries.count ?? 0,
            sequence: row.head?.head.sequence ?? 0, heardAt: row.heardAt,
            peers: facts?.peers ?? 0,
            evidence: try store.registry.evidence(against: row.id).count,
            refused: facts?.refusals.last?.reason)
    }

    /// All that is known of a catalogue.
    func show(_ row: CatalogueRow) throws(PetalsError) -> CatalogueDetails {
        let log = try store.registry.catalogueLog(of: row.id) ?? CatalogueLog()
        let head = row.head?.signed
        let shown = Dictionary(
            library.entries.map { ($0.row.manifestID, $0.row.name) },
            uniquingKeysWith: { a, _ in a })
        let facts = node?.catalogueFacts(row.id)
        return CatalogueDetails(
            summary: try summary(row), issue: head?.head.issue ?? 0,
            signer: head.map { Base32.encode($0.signer.bytes) },
            delegated: head?.delegation != nil,
            delegationExpiresAt: head?.delegation?.delegation.expiresAt,
            signedAt: head?.head.createdAt,
            entries: log.entries.map { entry in
                CatalogueDetails.Entry(
                    name: entry.name, shownAs: shown[entry.manifestID],
                    manifest: entry.manifestID.hex, readable: entry.isReadable, size: entry.size,
                    sha256: entry.sha256?.hex, metadata: entry.metadata, link: entry.link.text,
                    addedAt: entry.addedAt)
            },
            ignored: log.ignored.map { "record \($0.position): \($0.reason)" },
            refusals: (facts?.refusals ?? []).map {
                .init(reason: $0.reason, teller: $0.teller, seenAt: $0.seenAt)
            },
            evidence: try store.registry.evidence(against: row.id).map {
                .init(
                    knownSequence: $0.known.head.sequence,
                    offeredSequence: $0.offered.head.sequence, seenAt: $0.seenAt,
                    known: Self.hex($0.known.serialized()),
                    offered: Self.hex($0.offered.serialized()))
            })
    }

    private static func hex(_ bytes: [UInt8]) -> String {
        bytes.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
    }
}

extension ModelPath {
    /// A title as the name in a link; nil where it cannot be one.
    fileprivate static func hint(_ title: String) -> String? {
        // A title may be what no name may be; then the link goes without.
        guard (try? check(component: title)) != nil else { return nil }
        return title
    }
}
