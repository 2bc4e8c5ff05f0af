internal import Foundation
internal import Logging
internal import PetalsCodec
internal import PetalsCore
internal import PetalsStore
internal import ShardFetch
internal import Synchronization

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
        keepNamed()
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
    /// - Parameter isListed: whether it is for no other reason than that a catalogue lists it.
    /// - Throws: what the registry throws.
    private func registerDonated(_ link: ModelLink, isListed: Bool) throws(PetalsError) {
        guard try !store.registry.models().contains(where: { $0.manifestID == link.manifestID })
        else { return }
        let relayKey =
            switch link.capability {
            case .read(let key): KeyDerivation.relayKey(of: key)
            case .relay(let key): key
            }
        let row = ModelRow(
            name: "model-\(link.manifestID.short)", manifestID: link.manifestID,
            capability: .relay(relayKey), origin: .held,
            addedAt: Int(Date().timeIntervalSince1970), shards: [])
        if isListed {
            try store.registry.addDonated(row)
        } else {
            try store.registry.add(row)
        }
        try library.reload()
        node?.dial(Self.endpoints(link.peers))
    }

    /// What followed catalogues list, whoever may read it.
    private func listedModels() -> [ModelLink] {
        do throws(PetalsError) {
            return try store.registry.catalogueModels().map(\.relayCap)
        } catch {
            logger.warning("what catalogues list cannot be read: \(error.message)")
            return []
        }
    }

    /// Registers models that may be donated to, a few at a time: each has its manifest looked for.
    ///
    /// - Returns: all that may be donated to: those that were named with `serve --donate`, and
    ///   those that followed catalogues list.
    private func registerDonated(isAllowed: Bool) -> [ModelLink] {
        // What a catalogue listed that is not followed any more must not come in late.
        listing.withLock { _ in
            let listed = listedModels()
            let models = bounds.donatedModels + listed
            guard isAllowed else { return models }
            let rows = library.entries.filter { $0.listing == nil }
            let known = Set(rows.map(\.row.manifestID))
            var pending = rows.count { $0.isPending }
            for (number, link) in models.enumerated() where !known.contains(link.manifestID) {
                guard pending < Self.pendingMax else { break }
                do throws(PetalsError) {
                    try registerDonated(link, isListed: number >= bounds.donatedModels.count)
                    pending += 1
                } catch {
                    logger.warning("a model cannot be donated to: \(error.message)")
                }
            }
            return models
        }
    }

    /// Has models that a person named donated to for that reason, whatever listed them before.
    private func keepNamed() {
        do throws(PetalsError) {
            for link in bounds.donatedModels { try store.registry.keepDonated(link.manifestID) }
        } catch {
            logger.warning("a model that was named is not marked as such: \(error.message)")
        }
    }

    /// Ends donating to what no catalogue lists any more and nobody named: its shards are deleted.
    ///
    /// - Throws: what the registry and the disk throw.
    func releaseUnlisted() throws(PetalsError) {
        for name in try store.registry.unlistedDonations() {
            logger.info("“\(name)” was donated to because a catalogue listed it, and goes")
            try forget(name)
        }
    }

    /// Lets a donor hold shards of all models that it may.
    ///
    /// - Parameter onlyKnown: leaves out blobs whose descriptor is not here, for which it would
    ///   wait.
    private func addModels(to donor: Donor, with node: Node, onlyKnown: Bool) async {
        let models = registerDonated(isAllowed: !onlyKnown)
        if !onlyKnown { library.fetchPending(with: node) }
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
    /// Reads relay caps and links.
    ///
    /// - Throws: `.badInput` saying why one is none.
    static func parse(_ texts: [String]) throws(PetalsError) -> [ModelLink] {
        var models: [ModelLink] = []
        for text in texts { models.append(try ModelLink(parsing: text)) }
        return models
    }

    /// Reads those of a file, one a line.
    ///
    /// - Throws: `.badInput` where the file cannot be read, or naming the line that is no link.
    static func read(_ file: String) throws(PetalsError) -> [ModelLink] {
        guard let text = try? String(contentsOfFile: file, encoding: .utf8) else {
            throw PetalsError(
                .badInput, "\(file) cannot be read; give a text file with one relay cap a line")
        }
        var models: [ModelLink] = []
        for (number, line) in text.split(
            omittingEmptySubsequences: false, whereSeparator: \.isNewline
        ).enumerated()
        where !line.hasPrefix("#") && line.contains(where: { !$0.isWhitespace }) {
            do throws(PetalsError) {
                models.append(try ModelLink(parsing: String(line)))
            } catch {
                throw PetalsError(error.code, "\(file), line \(number + 1): \(error.message)")
            }
        }
        return models
    }
}
