internal import Foundation

/// A model as its readers see it: the inner part of a manifest.
package struct ModelManifest: Hashable, Sendable {
    /// The name under which the model is mounted unless its user chose another.
    package var name: String
    /// Whether the model is its one entry (a regular file in the mount's root) and not a directory.
    package var singleFile: Bool
    package var entries: [ManifestEntry]
    package var metadata: ModelMetadata
    /// Positions in `entries` that are worth fetching first.
    package var prefetch: [Int]

    package init(
        name: String, singleFile: Bool, entries: [ManifestEntry], metadata: ModelMetadata,
        prefetch: [Int] = []
    ) {
        self.name = name
        self.singleFile = singleFile
        self.entries = entries
        self.metadata = metadata
        self.prefetch = prefetch
    }

    /// Bytes of plaintext of all files.
    package var size: Int { entries.reduce(0) { $0 + $1.size } }

    /// Bytes of the stored streams and inlined files.
    package var storedSize: Int { entries.reduce(0) { $0 + $1.storedSize } }
}

/// A file of a model.
package struct ManifestEntry: Hashable, Sendable {
    /// Where the bytes of a file are.
    package enum Content: Hashable, Sendable {
        case record(FileRecord)
        case inlined([UInt8])
    }

    package let path: ModelPath
    package let executable: Bool
    package let content: Content

    package init(path: ModelPath, executable: Bool, content: Content) {
        self.path = path
        self.executable = executable
        self.content = content
    }

    /// Bytes of plaintext.
    package var size: Int {
        switch content {
        case .record(let record): record.size
        case .inlined(let bytes): bytes.count
        }
    }

    /// Bytes of the stored stream, or of the inlined file.
    package var storedSize: Int {
        switch content {
        case .record(let record): record.frames.storedLength
        case .inlined(let bytes): bytes.count
        }
    }
}

/// What the publisher says of a model.
///
/// Free text, shown and never acted upon.
package struct ModelMetadata: Hashable, Sendable, Codable {
    package var version = ""
    package var format = ""
    package var license = ""
    package var parameters = ""
    package var quantization = ""
    package var origin = ""
    package var commit = ""
    package var tags: [String] = []

    /// Metadata that says nothing.
    package init() {}
}

/// The right to hold and repair one blob.
package struct BlobGrant: Hashable, Sendable {
    package let blobID: BlobID
    package let relayKey: SecretKey

    package init(blobID: BlobID, relayKey: SecretKey) {
        self.blobID = blobID
        self.relayKey = relayKey
    }
}

/// The outer part of a manifest: what its holders see.
package struct ManifestOuter: Hashable, Sendable {
    package let grants: [BlobGrant]
    /// SHA-256 of the sealed inner part.
    package let innerDigest: Digest

    package init(grants: [BlobGrant], innerDigest: Digest) {
        self.grants = grants
        self.innerDigest = innerDigest
    }
}

/// The inner part as it is signed and sealed.
package struct SignedInner: Hashable, Sendable {
    /// `ModelManifest.serialized()`.
    package let body: [UInt8]
    /// The publisher's Ed25519 public key.
    package let publisher: [UInt8]
    /// Over `domain` and `body`.
    package let signature: [UInt8]

    /// What is signed in front of the body, so that the signature fits no other use.
    package static let domain = Array("petalsfs manifest v1".utf8)

    package init(body: [UInt8], publisher: [UInt8], signature: [UInt8]) {
        self.body = body
        self.publisher = publisher
        self.signature = signature
    }
}

/// A manifest as it travels and lies on disks.
package struct SealedManifest: Hashable, Sendable {
    package let outer: [UInt8]
    package let inner: [UInt8]

    package init(outer: [UInt8], inner: [UInt8]) {
        self.outer = outer
        self.inner = inner
    }
}
