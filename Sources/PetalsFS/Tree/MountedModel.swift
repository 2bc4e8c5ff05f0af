package import PetalsCore

/// A model as the mount is told of it.
package struct MountedModel: Sendable {
    /// The name in the mount's root.
    package var name: String
    /// The version; another one under the same name gets new inodes.
    package var manifestID: ManifestID
    /// What the model consists of; nil while it has not arrived.
    package var manifest: ModelManifest?
    /// What a catalogue says of the model, by which it is shown before its manifest arrives.
    package var announced: Announced?
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
    /// Fetches the manifest, and returns when it is here or will not come soon; called when
    /// somebody opens what is announced only.
    package var fetch: @Sendable () async -> Void
    /// Gives the bytes of one file.
    ///
    /// Called without locks, at the first open and for the `cached` attribute; it must not wait.
    package var open: @Sendable (FileRecord) -> any FileContent

    /// What is known of a model without its manifest.
    package struct Announced: Hashable, Sendable {
        /// Whether it is one file, else a directory.
        package var isSingleFile: Bool
        package var isExecutable: Bool
        /// Bytes of plaintext.
        package var size: Int

        package init(isSingleFile: Bool, isExecutable: Bool, size: Int) {
            self.isSingleFile = isSingleFile
            self.isExecutable = isExecutable
            self.size = size
        }
    }

    /// Describes a model; what is not given says nothing.
    package init(
        name: String, manifestID: ManifestID, manifest: ModelManifest?,
        announced: Announced? = nil, addedAt: Int64,
        facts: [String: String] = [:], refusal: String? = nil,
        peersAsked: @escaping @Sendable () -> Int = { 0 },
        status: @escaping @Sendable () -> [UInt8] = { Array("{}\n".utf8) },
        fetch: @escaping @Sendable () async -> Void = {},
        open: @escaping @Sendable (FileRecord) -> any FileContent
    ) {
        self.name = name
        self.manifestID = manifestID
        self.manifest = manifest
        self.announced = announced
        self.fetch = fetch
        self.addedAt = addedAt
        self.facts = facts
        self.refusal = refusal
        self.peersAsked = peersAsked
        self.status = status
        self.open = open
    }
}
