internal import Foundation
package import PetalsCodec
package import PetalsCore
package import PetalsStore

/// Turns a file or a folder of this machine into a published model.
///
/// Each file of 64 KiB or more goes through two passes, in memory that does not grow with its size:
///
/// 1. *survey* (`FileSurvey`): choose the codec, hash the plaintext and the stored stream. A public
///    file's key is derived from that hash, so nothing can be sealed before it is known.
/// 2. *seal* (`SealingPass`): encrypt, add parity, hash all leaves, and write parity and trees as
///    they come to a `BlobDraft`. The last row gives the tree's roots, and with them the blob's id
///    and its place in the store. The data shards stay where they are: they are made from the
///    user's file whenever a peer asks.
///
/// A file that was published before, under any name, stops after the survey (or before it, when the
/// very file did not change): its blob is here already. The registry learns of the whole
/// publication in one transaction at the end. Whatever ends the process before that leaves drafts,
/// and blobs that their journals speak for: the same publication of the same unchanged files goes
/// on with them, and nobody else sees them.
///
/// Blocking throughout: callers run it on a thread of their own.
package struct Publisher: Sendable {
    /// What becomes of the parity.
    ///
    /// Its roots are in the descriptor either way.
    package enum Parity: String, Sendable, Codable, CaseIterable {
        /// It is stored beside the trees, and served.
        case stored
        /// It is hashed and thrown away; holders of k shards of a group can make it.
        case none
    }

    /// What the person asked for.
    package struct Options: Sendable {
        package var name: String?
        package var isPrivate = false
        package var metadata = ModelMetadata()
        package var parity = Parity.stored
        /// k and n, instead of what the size suggests.
        package var shards: (data: Int, group: Int)?

        package init() {}
    }

    /// What became of it.
    package struct Publication: Sendable {
        package let name: String
        package let manifest: ModelManifest
        package let manifestID: ManifestID
        package let link: ModelLink
        package let relayCap: ModelLink
        /// Files whose blob was here before.
        package let reusedFiles: Int
        /// Bytes that an earlier attempt had sealed, and this one did not seal again.
        package let resumedBytes: Int
        /// The version of the name that this one takes the place of; nil where there was none.
        package let replaced: ManifestID?
    }

    /// How far it is: bytes of plaintext that both passes have gone through, of all they will.
    package typealias Progress = @Sendable (_ done: Int, _ total: Int) -> Void

    let store: Store
    let signer: SigningIdentity
    /// Told of blobs that became complete here, so that they are announced.
    let onBlob: @Sendable (StoredBlob) -> Void

    package init(
        store: Store, signer: SigningIdentity,
        onBlob: @escaping @Sendable (StoredBlob) -> Void = { _ in }
    ) {
        self.store = store
        self.signer = signer
        self.onBlob = onBlob
    }

    /// Publishes a file or a folder.
    ///
    /// - Throws: `PetalsError` saying which file stands in the way; then nothing is registered.
    package func publish(
        path: String, options: Options, progress: @escaping Progress
    ) throws(PetalsError) -> Publication {
        let listing = try SourceListing(path: path)
        let name = options.name ?? listing.name
        try ModelPath.check(component: name)
        let existing = try store.registry.model(named: name)
        // Before hours of reading; what takes the name meanwhile is found at the end.
        if existing?.origin != .published { try store.registry.requireFree(name) }
        let meter = ProgressMeter(total: listing.bytes * 2, report: progress)
        var entries: [ManifestEntry] = []
        var blobs: [BlobRow] = []
        var sources: [SourceRow] = []
        var reused = 0
        var resumed = 0
        var claims: [DraftClaim] = []
        for file in listing.files {
            if file.isInlined {
                entries.append(try file.inlinedEntry())
                meter.add(2 * file.size)
                continue
            }
            let sealing = BlobPublisher(publisher: self, options: options, meter: meter)
            let claim = try store.claimDraft(sealing.draftName(of: file))
            claims.append(claim)
            let sealed = try sealing.publish(file, claim: claim)
            entries.append(
                ManifestEntry(
                    path: file.modelPath, executable: file.isExecutable,
                    content: .record(sealed.source.record)))
            blobs.append(sealed.row)
            sources.append(sealed.source)
            if sealed.isReused { reused += 1 }
            resumed += sealed.resumedBytes
        }
        var metadata = options.metadata
        if metadata.format.isEmpty { metadata.format = listing.format }
        let manifest = ModelManifest(
            name: name, singleFile: listing.isSingleFile, entries: entries, metadata: metadata)
        let sealed = try ManifestSealing.seal(
            manifest, signer: signer, readKey: options.isPrivate ? .random() : nil)
        let row = ModelRow(
            name: name, manifestID: sealed.id, capability: .read(sealed.readKey),
            origin: .published, addedAt: Int(Date().timeIntervalSince1970))
        try register(row, replacing: existing, sealed: sealed, blobs: blobs, sources: sources)
        // Registered is registered: journals that stay are removed at the next start.
        for claim in claims { try? claim.discard() }
        for blob in blobs {
            if let stored = store.blob(blob.blobID) { onBlob(stored) }
        }
        meter.finish()
        return Publication(
            name: name, manifest: manifest, manifestID: sealed.id,
            link: sealed.link(name: name), relayCap: sealed.relayCap(name: name),
            reusedFiles: reused, resumedBytes: resumed,
            replaced: existing.flatMap { $0.manifestID == sealed.id ? nil : $0.manifestID })
    }

    /// Writes the publication into the registry.
    ///
    /// The same name again is a new version when this node published the old one; a model that came
    /// from elsewhere keeps its name.
    private func register(
        _ row: ModelRow, replacing existing: ModelRow?, sealed: ManifestSealing.Sealed,
        blobs: [BlobRow], sources: [SourceRow]
    ) throws(PetalsError) {
        try store.registry.publish(
            model: row, manifest: sealed.bytes, blobs: blobs, sources: sources,
            isNewVersion: existing?.origin == .published)
    }
}
