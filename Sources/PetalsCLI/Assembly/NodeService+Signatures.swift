internal import PetalsCodec
internal import PetalsCore
internal import PetalsStore
internal import ShardFetch

// `--require-signed`: a model is opened only where somebody known vouches for it.
//
// Three can: a followed catalogue that lists this version of it; the publisher who signed its
// manifest, if he is this node, a signer of a followed catalogue, or named with --publisher; and,
// for a file that was found by its SHA-256, a followed catalogue that lists that SHA-256.

extension NodeService {
    /// Why a model may not be opened under the rules in force; nil where it may, and while its
    /// manifest has not arrived.
    func unsignedRefusal(of entry: ModelLibrary.Entry) -> PetalsError? {
        guard let rules = trust else { return nil }
        do throws(PetalsError) {
            if entry.row.check != nil, let record = entry.found {
                try requireListed(record.sha256, rules)
                return nil
            }
            guard let opened = entry.opened, entry.listing == nil else { return nil }
            try requireSigned(
                entry.row.name, manifestID: entry.row.manifestID, publisher: opened.publisher,
                rules)
            return nil
        } catch {
            return error
        }
    }

    /// Throws unless somebody known vouches for what a link names; fetches its manifest for that.
    func requireSigned(
        _ link: ModelLink, _ rules: SignatureRules, seconds: Double
    ) async throws(PetalsError) {
        guard case .read(let key) = link.capability else { return }
        let listed = try library.listed()
        if listed.contains(where: { $0.entry.manifestID == link.manifestID }) { return }
        let bytes: [UInt8]
        if let here = try store.registry.readManifest(link.manifestID) {
            bytes = here
        } else if let node {
            node.dial(Self.endpoints(link.peers))
            bytes = try await manifest(
                link.manifestID, KeyDerivation.relayKey(of: key), from: node, seconds: seconds)
        } else {
            throw PetalsError(.unavailable, "no node runs to fetch the model's manifest with")
        }
        let opened = try ManifestSealing.openInner(bytes, readKey: key, id: link.manifestID)
        try requireSigned(
            link.name ?? opened.manifest.name, manifestID: link.manifestID,
            publisher: opened.publisher, rules)
    }

    private func manifest(
        _ id: ManifestID, _ relayKey: SecretKey, from node: Node, seconds: Double
    ) async throws(PetalsError) -> [UInt8] {
        let fetching = Task { () -> [UInt8]? in
            // It fails only where it is cancelled.
            try? await node.fetchManifest(id, relayKey: relayKey)
        }
        let limit = Task {
            // Cancelled where the manifest came first.
            try? await Task.sleep(for: .seconds(seconds))
            fetching.cancel()
        }
        let bytes = await withTaskCancellationHandler {
            await fetching.value
        } onCancel: {
            fetching.cancel()
        }
        limit.cancel()
        if let bytes { return bytes }
        throw PetalsError(
            .unavailable,
            "the manifest \(id.short) did not come, so that nobody knows who signed it; name a "
                + "node that has the model with --peer, or raise --timeout")
    }

    /// Throws unless a followed catalogue lists a file's SHA-256.
    func requireListed(_ sha256: Digest, _ rules: SignatureRules) throws(PetalsError) {
        let listed = try library.listed()
        guard !listed.contains(where: { $0.entry.sha256 == sha256 }) else { return }
        throw PetalsError(
            .badInput,
            "no followed catalogue lists the file with SHA-256 \(sha256.hex), and --require-signed "
                + "refuses what nobody known vouches for; follow a catalogue that lists it")
    }

    private func requireSigned(
        _ name: String, manifestID: ManifestID, publisher: [UInt8], _ rules: SignatureRules
    ) throws(PetalsError) {
        let registry = store.registry
        if publisher == identity.signing.publicKey { return }
        if rules.publishers.contains(Base32.encode(publisher)) { return }
        let rows = try registry.catalogues().filter(\.isFollowed)
        if rows.contains(where: { $0.head?.signed.signer.bytes == publisher }) { return }
        let listed = try library.listed()
        if listed.contains(where: { $0.entry.manifestID == manifestID }) { return }
        throw PetalsError(
            .badInput,
            "no followed catalogue lists “\(ModelPath.printable(name))” and its publisher "
                + "\(Base32.encode(publisher)) is not known, and --require-signed refuses what "
                + "nobody known vouches for; follow a catalogue that lists it, or name the "
                + "publisher with --publisher")
    }
}
