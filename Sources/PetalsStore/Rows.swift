package import PetalsCore

/// A model as it is registered.
package struct ModelRow: Hashable, Sendable {
    /// How the model came here.
    ///
    /// The raw values are the registry's.
    package enum Origin: String, Sendable, CaseIterable {
        /// Sealed here, from a file of this machine.
        case published
        /// By a link or a SHA-256, to be read.
        case added
        /// By a relay cap, to be held for others.
        case held
    }

    /// What is known of a file that was found by its SHA-256, and that no publisher vouches for.
    ///
    /// The raw values are the registry's.
    package enum Check: String, Sendable, CaseIterable {
        /// Not all of it has been here yet.
        case unchecked
        /// Its content has the SHA-256.
        case checked
        /// Its content is something else.
        case mismatch
    }

    /// The name it is mounted under; unique in the registry.
    package let name: String
    /// The version of the model.
    package let manifestID: ManifestID
    /// What may be done with it, and the key for that.
    package let capability: ModelLink.Capability
    /// How it came here.
    package let origin: Origin
    /// When it was registered, in seconds since 1970.
    package let addedAt: Int
    /// The shards that its holder was asked to keep; nil means that nothing was said.
    package let shards: [Int]?
    /// Whether it is the file it was found as; nil where its publisher's manifest says what it is.
    package let check: Check?

    /// Makes a row for `Registry.add` or `publish`.
    package init(
        name: String, manifestID: ManifestID, capability: ModelLink.Capability, origin: Origin,
        addedAt: Int, shards: [Int]? = nil, check: Check? = nil
    ) {
        self.name = name
        self.manifestID = manifestID
        self.capability = capability
        self.origin = origin
        self.addedAt = addedAt
        self.shards = shards
        self.check = check
    }
}

/// A blob that some model uses.
package struct BlobRow: Hashable, Sendable {
    /// The blob's id.
    package let blobID: BlobID
    /// The key that opens its descriptor.
    package let relayKey: SecretKey
    /// The sealed descriptor; nil until it was fetched.
    package let descriptor: [UInt8]?

    /// Makes a row; the descriptor may be added later.
    package init(blobID: BlobID, relayKey: SecretKey, descriptor: [UInt8]? = nil) {
        self.blobID = blobID
        self.relayKey = relayKey
        self.descriptor = descriptor
    }
}

/// Why a shard is kept.
///
/// The raw values are the registry's.
package enum ShardClass: String, Sendable, CaseIterable {
    /// Published here.
    case seeded
    /// Kept for others, as asked.
    case held
    /// Kept for ourselves until it is unpinned.
    case pinned
    /// Read and not yet evicted; the class of a shard that no one gave another.
    case cached
}

/// What is known of a published file since it was published.
///
/// The raw values are the registry's.
package enum SourceState: Int, Sendable, CaseIterable {
    /// It is what it was, as far as its stamp and what was read of it tell.
    case current = 0
    /// Its stamp is another: it was written to, replaced, moved or touched.
    case changed = 1
    /// Its stamp is the same and its content is not.
    case damaged = 2
    /// There is no such file.
    case missing = 3
}

/// A published file that is not served any more.
package struct StaleSource: Hashable, Sendable {
    package let blobID: BlobID
    package let path: String
    package let state: SourceState

    /// What happened and what to do, in one sentence.
    package var text: String {
        let reason =
            switch state {
            case .current, .changed: "has changed since it was published"
            case .damaged:
                "is not what was published, though its size and times are: it was written through "
                    + "a mapping, or its disk is failing"
            case .missing: "is not there any more"
            }
        let remedy =
            state == .missing
            ? "bring it back and run `petalsfs verify`, or publish it again where it is now"
            : "publish it again, or put its content back and run `petalsfs verify`"
        return "the published file \(path) \(reason) and is not served from now on; \(remedy)"
    }
}

/// A published file that is served where it lies.
package struct SourceRow: Hashable, Sendable {
    /// The blob that was made from the file.
    package let blobID: BlobID
    /// An absolute path.
    package let path: String
    /// The file as it was when it was published.
    package let stamp: FileStamp
    /// What a reader of the file knows: codec, frames and the key that seals it.
    package let record: FileRecord
    /// What is known of it since.
    package let state: SourceState

    /// Makes a row for `StoredBlob.attach` and `Registry.publish`.
    package init(
        blobID: BlobID, path: String, stamp: FileStamp, record: FileRecord,
        state: SourceState = .current
    ) {
        self.blobID = blobID
        self.path = path
        self.stamp = stamp
        self.record = record
        self.state = state
    }

    /// Whether the file is not served any more.
    package var isStale: Bool { state != .current }
}
