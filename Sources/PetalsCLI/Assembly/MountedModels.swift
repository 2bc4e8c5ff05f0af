internal import Foundation
internal import PetalsCodec
internal import PetalsCore
internal import PetalsFS
internal import PetalsStore
internal import ShardFetch

/// Shows a `BlobReader` to the mount.
struct BlobContent: FileContent {
    let reader: BlobReader
    /// Says why the file may not be read any more; nil for a file that a publisher vouches for.
    let refusal: (@Sendable () -> PetalsError?)?

    var size: Int { reader.size }
    var cachedBytes: Int { reader.cachedBytes }

    func readIfPresent(
        _ range: Range<Int>, into buffer: UnsafeMutableRawBufferPointer
    ) throws(PetalsError) -> Bool {
        if let error = refusal?() { throw error }
        // SAFETY: the buffer has `range.count` bytes by both contracts.
        return try unsafe reader.readIfPresent(range, into: buffer)
    }

    func read(
        _ range: Range<Int>, deadline: ContinuousClock.Instant?
    ) async throws(PetalsError) -> [UInt8] {
        if let error = refusal?() { throw error }
        return try await reader.read(range, deadline: deadline)
    }
}

extension CatalogueEntry {
    /// What a catalogue says of a model, as extended attributes.
    fileprivate var facts: [String: String] {
        ["license": metadata.license, "format": metadata.format].filter { !$0.value.isEmpty }
    }
}

extension NodeService {
    /// Keeps a mount's tree in step with the registered models.
    func show(in tree: TreeStore, with node: Node) {
        library.observe { [self] entries in
            tree.update(models: entries.compactMap { mountedModel($0, node) })
        }
    }

    private func mountedModel(_ entry: ModelLibrary.Entry, _ node: Node) -> MountedModel? {
        guard case .read = entry.row.capability else { return nil }
        let row = entry.row
        let unsigned = unsignedRefusal(of: entry)
        let refusal =
            row.check == nil && unsigned == nil
            ? nil : { @Sendable [library] in unsigned ?? library.refusal(of: row) }
        let listed = entry.listing?.entry
        return MountedModel(
            name: row.name, manifestID: row.manifestID, manifest: entry.manifest,
            announced: listed.map {
                .init(
                    isSingleFile: $0.isSingleFile, isExecutable: $0.isExecutable, size: $0.size)
            }, addedAt: Int64(row.addedAt), facts: listed?.facts ?? [:],
            refusal: refusal?()?.message,
            peersAsked: { node.peerCount },
            status: { [self] in Self.json(summary(entry)) },
            fetch: { [library] in await library.fetchListed(row.name, with: node) },
            open: { BlobContent(reader: node.reader(for: $0), refusal: refusal) })
    }

    /// A document of the hidden folder.
    static func json(_ value: some Encodable) -> [UInt8] {
        // Summaries are plain structs of strings and numbers: they always encode.
        Array((try? JSONEncoder.petals.encode(value)) ?? Data("{}".utf8)) + [UInt8(ascii: "\n")]
    }
}
