internal import Foundation
internal import Logging
internal import PetalsCodec
internal import PetalsCore
internal import PetalsStore
internal import ShardFetch

/// Donating: the models of which a donor may choose shards.
///
/// Such a model is registered as held, with no shard that a person asked for; so it is known after
/// a restart, `ls` shows it, and `rm` ends it.
extension NodeService {
    /// Seconds between two looks at which models there are.
    private static let lookSeconds = 2.0
    /// Models whose manifests are looked for at the same time.
    private static let pendingMax = 16

    /// Begins to choose shards, where this node gives anything.
    func startDonating(with node: Node) async {
        guard let bytes = bounds.donated, bounds.chooses else { return }
        let donor = node.startDonating()
        // What was chosen before is counted before anything new is.
        await addModels(to: donor, with: node, onlyKnown: true)
        await donor.give(bytes)
        let task = Task { [weak self] in
            repeat {
                guard let self else { return }
                await addModels(to: donor, with: node, onlyKnown: false)
                // Cancelled: the node stops.
            } while (try? await Task.sleep(for: .seconds(Self.lookSeconds))) != nil
        }
        _ = donates(donor, task)
    }

    /// Ends that; what is held stays.
    func stopDonating() async {
        let donor = donor
        let task = donates(nil, nil)
        task?.cancel()
        await task?.value
        await donor?.stop()
    }

    /// Registers a model of which shards may be chosen; of a link only the relay key is kept.
    ///
    /// - Throws: what the registry throws.
    func registerDonated(_ link: ModelLink) throws(PetalsError) {
        guard try !store.registry.models().contains(where: { $0.manifestID == link.manifestID })
        else { return }
        let relayKey =
            switch link.capability {
            case .read(let key): KeyDerivation.relayKey(of: key)
            case .relay(let key): key
            }
        try store.registry.add(
            ModelRow(
                name: "model-\(link.manifestID.short)", manifestID: link.manifestID,
                capability: .relay(relayKey), origin: .held,
                addedAt: Int(Date().timeIntervalSince1970), shards: []))
        try library.reload()
        node?.dial(Self.endpoints(link.peers))
    }

    /// The models that may be donated to: those that were named with `serve --donate`, and those
    /// that followed catalogues list.
    private func modelsToDonateTo() -> [ModelLink] {
        do throws(PetalsError) {
            return bounds.donatedModels + (try store.registry.catalogueModels().map(\.relayCap))
        } catch {
            logger.warning("what catalogues list cannot be read: \(error.message)")
            return bounds.donatedModels
        }
    }

    /// Registers models that may be donated to, a few at a time: each has its manifest looked for.
    private func register(_ models: [ModelLink], with node: Node) {
        let rows = library.entries.filter { $0.listing == nil }
        let known = Set(rows.map(\.row.manifestID))
        var pending = rows.count { $0.isPending }
        for link in models where !known.contains(link.manifestID) {
            guard pending < Self.pendingMax else { break }
            do throws(PetalsError) {
                try registerDonated(link)
                pending += 1
            } catch {
                logger.warning("a model cannot be donated to: \(error.message)")
            }
        }
        library.fetchPending(with: node)
    }

    /// Lets a donor hold shards of all models that it may.
    ///
    /// - Parameter onlyKnown: leaves out blobs whose descriptor is not here, for which it would
    ///   wait.
    private func addModels(to donor: Donor, with node: Node, onlyKnown: Bool) async {
        let models = modelsToDonateTo()
        if !onlyKnown { register(models, with: node) }
        let named = Set(models.map(\.manifestID))
        var grants: [BlobID: BlobGrant] = [:]
        for entry in library.entries where !entry.isPending {
            let isChosen = entry.row.origin == .held && entry.row.shards == []
            guard isChosen || named.contains(entry.row.manifestID) else { continue }
            for grant in entry.grants { grants[grant.blobID] = grant }
        }
        let known = donor.blobs
        for grant in grants.values.sorted(by: { $0.blobID < $1.blobID })
        where !known.contains(grant.blobID) {
            guard !onlyKnown || store.blob(grant.blobID) != nil else { continue }
            do throws(PetalsError) {
                try await node.donate(to: grant.blobID, relayKey: grant.relayKey, as: donor)
            } catch {
                if error.code == .cancelled { return }
                logger.warning("blob \(grant.blobID.short) is not donated to: \(error.message)")
            }
        }
    }
}

/// The models that a person names to a donor.
enum DonatedModels {
    /// Reads relay caps and links: those given, and those of a file, one a line.
    ///
    /// - Throws: `.badInput` naming what is no link, `.system` where the file cannot be read.
    static func parse(
        _ texts: [String], file: String?
    ) throws(PetalsError) -> [ModelLink] {
        var lines = texts
        if let file {
            guard let text = try? String(contentsOfFile: file, encoding: .utf8) else {
                throw PetalsError(
                    .badInput, "\(file) cannot be read; give a text file with one relay cap a line")
            }
            lines += text.split(whereSeparator: \.isNewline).map(String.init)
                .filter { !$0.hasPrefix("#") && $0.contains { !$0.isWhitespace } }
        }
        var models: [ModelLink] = []
        for line in lines { models.append(try ModelLink(parsing: line)) }
        return models
    }
}
