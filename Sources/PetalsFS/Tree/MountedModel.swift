package import PetalsCore

/// A model as the mount is told of it.
package struct MountedModel: Sendable {
    /// The name in the mount's root.
    package var name: String
    /// The version; another one under the same name gets new inodes.
    package var manifestID: ManifestID
    /// What the model consists of; nil while it has not arrived.
    package var manifest: ModelManifest?
    /// When the model was added, in seconds since 1970: the time that its files show.
    package var addedAt: Int64
    /// Why its files cannot be opened; nil where they can.
    package var refusal: String?
    /// More extended attributes: `["holders": "3"]` becomes `user.petals.holders`.
    package var facts: [String: String]
    /// Peers that were asked for the manifest; read where a pending model is opened.
    package var peersAsked: @Sendable () -> Int
    /// The JSON of `.petalsfs/<name>.json`; made at each open.
    package var status: @Sendable () -> [UInt8]
    /// Gives the bytes of one file.
    ///
    /// Called without locks, at the first open and for the `cached` attribute; it must not wait.
    package var open: @Sendable (FileRecord) -> any FileContent

    /// Describes a model; what is not given says nothing.
    package init(
        name: String, manifestID: ManifestID, manifest: ModelManifest?, addedAt: Int64,
        facts: [String: String] = [:], refusal: String? = nil,
        peersAsked: @escaping @Sendable () -> Int = { 0 },
        status: @escaping @Sendable () -> [UInt8] = { Array("{}\n".utf8) },
        open: @escaping @Sendable (FileRecord) -> any FileContent
    ) {
        self.name = name
        self.manifestID = manifestID
        self.manifest = manifest
        self.addedAt = addedAt
        self.facts = facts
        self.refusal = refusal
        self.peersAsked = peersAsked
        self.status = status
        self.open = open
    }
}
