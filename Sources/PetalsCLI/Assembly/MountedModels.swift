internal import Foundation
internal import PetalsCodec
internal import PetalsCore
internal import PetalsFS
internal import PetalsStore
internal import ShardFetch

/// Shows a `BlobReader` to the mount.
struct BlobContent: FileContent {
    let reader: BlobReader

    var size: Int { reader.size }
    var cachedBytes: Int { reader.cachedBytes }

    func readIfPresent(
        _ range: Range<Int>, into buffer: UnsafeMutableRawBufferPointer
    ) throws(PetalsError) -> Bool {
        // SAFETY: the buffer has `range.count` bytes by both contracts.
        try unsafe reader.readIfPresent(range, into: buffer)
    }

    func read(
        _ range: Range<Int>, deadline: ContinuousClock.Instant?
    ) async throws(PetalsError) -> [UInt8] {
        try await reader.read(range, deadline: deadline)
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
        return MountedModel(
            name: entry.row.name, manifestID: entry.row.manifestID, manifest: entry.manifest,
            addedAt: Int64(entry.row.addedAt),
            peersAsked: { node.peerCount },
            status: { [self] in Self.json(summary(entry)) },
            open: { BlobContent(reader: node.reader(for: $0)) })
    }

    /// A document of the hidden folder.
    static func json(_ value: some Encodable) -> [UInt8] {
        // Summaries are plain structs of strings and numbers: they always encode.
        Array((try? JSONEncoder.petals.encode(value)) ?? Data("{}".utf8)) + [UInt8(ascii: "\n")]
    }
}
