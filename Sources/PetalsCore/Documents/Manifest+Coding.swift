internal import Foundation

// The order of the checks matters: sizes first, then counts, then names, then relations.

extension ModelManifest {
    /// Reads the inner part after it was unsealed and its signature checked.
    ///
    /// - Throws: `PetalsError` naming the entry that is wrong.
    package init(parsing bytes: [UInt8]) throws(PetalsError) {
        let message = try parseMessage(
            PBManifestInner.self, from: bytes, what: "a manifest",
            bytesMax: Limits.manifestBytesMax)
        try requireVersion(message.version, what: "a manifest")
        guard (1...Limits.filesMax).contains(message.entries.count) else {
            throw PetalsError(
                .limitExceeded,
                "a manifest lists \(message.entries.count) files, outside 1 to \(Limits.filesMax)")
        }
        var entries: [ManifestEntry] = []
        entries.reserveCapacity(message.entries.count)
        for entry in message.entries {
            entries.append(try ManifestEntry(message: entry))
        }
        name = message.name
        singleFile = message.singleFile
        self.entries = entries
        metadata = ModelMetadata(message: message.metadata)
        prefetch = message.prefetch.compactMap { Int(exactly: $0) }.filter {
            entries.indices.contains($0)
        }
        try validate()
    }

    /// Throws unless the names and their relations are sound; publishing calls it too.
    package func validate() throws(PetalsError) {
        try ModelPath.check(component: name)
        guard !singleFile || (entries.count == 1 && entries[0].path.components.count == 1) else {
            throw PetalsError(.corrupt, "a single-file manifest lists more than one plain file")
        }
        var nameBytes = 0
        var size = 0
        var files: Set<ModelPath> = []
        var folders: Set<[String]> = []
        for entry in entries {
            nameBytes += entry.path.components.reduce(0) { $0 + $1.utf8.count }
            size += entry.size
            guard files.insert(entry.path).inserted else {
                throw PetalsError(
                    .badInput,
                    "two files have the same name “\(entry.path)”, perhaps spelt with different "
                        + "Unicode; rename one of them")
            }
            for depth in 1..<max(entry.path.components.count, 1) {
                folders.insert(Array(entry.path.components.prefix(depth)))
            }
            guard nameBytes <= Limits.nameBytesTotalMax, size <= Limits.blobBytesMax else {
                throw PetalsError(
                    .limitExceeded,
                    "a manifest's names or files add up to more than petalsfs allows "
                        + "(\(Limits.nameBytesTotalMax) bytes of names, 16 TiB of files)")
            }
        }
        for file in files where folders.contains(file.components) {
            throw PetalsError(.corrupt, "“\(file)” is both a file and a folder in a manifest")
        }
    }

    /// The body that is signed and sealed; equal manifests give equal bytes.
    package func serialized() -> [UInt8] {
        var message = PBManifestInner()
        message.version = 1
        message.name = name
        message.singleFile = singleFile
        message.entries = entries.map(\.message)
        message.metadata = metadata.message
        message.prefetch = prefetch.compactMap { UInt32(exactly: $0) }
        return serializeMessage(message)
    }
}

extension ManifestEntry {
    init(message: PBEntry) throws(PetalsError) {
        path = try ModelPath(message.path)
        executable = message.executable
        switch message.content {
        case .record(let record): content = .record(try FileRecord(message: record))
        case .inlined(let bytes): content = .inlined(Array(bytes))
        case nil: content = .inlined([])
        }
    }

    var message: PBEntry {
        var message = PBEntry()
        message.path = path.description
        message.executable = executable
        switch content {
        case .record(let record): message.record = record.message
        case .inlined(let bytes): message.inlined = Data(bytes)
        }
        return message
    }
}

extension ModelMetadata {
    /// Texts as they are, for whoever refuses what is not fit to be shown.
    init(unchecked message: PBMetadata) {
        version = message.version
        format = message.format
        license = message.license
        parameters = message.parameters
        quantization = message.quantization
        origin = message.origin
        commit = message.commit
        tags = message.tags
    }

    /// All texts, with what they are.
    var texts: [(what: String, text: String)] {
        [
            ("version", version), ("format", format), ("license", license),
            ("parameters", parameters), ("quantization", quantization), ("origin", origin),
            ("commit", commit),
        ] + tags.map { ("tag", $0) }
    }

    init(message: PBMetadata) {
        // Shown on terminals: a line each, without control characters.
        version = ModelPath.printable(message.version)
        format = ModelPath.printable(message.format)
        license = ModelPath.printable(message.license)
        parameters = ModelPath.printable(message.parameters)
        quantization = ModelPath.printable(message.quantization)
        origin = ModelPath.printable(message.origin)
        commit = ModelPath.printable(message.commit)
        tags = message.tags.prefix(Limits.tagsMax).map(ModelPath.printable)
    }

    var message: PBMetadata {
        var message = PBMetadata()
        message.version = version
        message.format = format
        message.license = license
        message.parameters = parameters
        message.quantization = quantization
        message.origin = origin
        message.commit = commit
        message.tags = tags
        return message
    }
}

extension ManifestOuter {
    /// Reads the outer part after it was unsealed.
    ///
    /// - Throws: `PetalsError` saying which field is wrong.
    package init(parsing bytes: [UInt8]) throws(PetalsError) {
        let message = try parseMessage(
            PBManifestOuter.self, from: bytes, what: "a manifest's list of blobs",
            bytesMax: Limits.manifestBytesMax)
        try requireVersion(message.version, what: "a manifest's list of blobs")
        guard message.blobs.count <= Limits.filesMax else {
            throw PetalsError(
                .limitExceeded,
                "a manifest lists \(message.blobs.count) blobs, more than \(Limits.filesMax)")
        }
        var grants: [BlobGrant] = []
        for blob in message.blobs {
            grants.append(
                BlobGrant(
                    blobID: try Digest(field: blob.blobID, what: "a blob id"),
                    relayKey: try SecretKey(field: blob.relayKey, what: "a blob's relay key")))
        }
        self.grants = grants
        innerDigest = try Digest(field: message.innerSha256, what: "the digest of the inner part")
    }

    /// The bytes that are sealed.
    package func serialized() -> [UInt8] {
        var message = PBManifestOuter()
        message.version = 1
        message.blobs = grants.map { grant in
            var blob = PBBlobGrant()
            blob.blobID = grant.blobID.field
            blob.relayKey = Data(grant.relayKey.bytes)
            return blob
        }
        message.innerSha256 = innerDigest.field
        return serializeMessage(message)
    }
}

extension SignedInner {
    /// Reads the inner part after it was unsealed; the signature is not checked here.
    package init(parsing bytes: [UInt8]) throws(PetalsError) {
        let message = try parseMessage(
            PBSignedInner.self, from: bytes, what: "a manifest's signed part",
            bytesMax: Limits.manifestBytesMax)
        body = Array(message.body)
        publisher = Array(message.publisher)
        signature = Array(message.signature)
    }

    /// The bytes that are sealed.
    package func serialized() -> [UInt8] {
        var message = PBSignedInner()
        message.body = Data(body)
        message.publisher = Data(publisher)
        message.signature = Data(signature)
        return serializeMessage(message)
    }
}

extension SealedManifest {
    /// Reads a sealed manifest; its digest was checked by whoever fetched or loaded it.
    package init(parsing bytes: [UInt8]) throws(PetalsError) {
        let message = try parseMessage(
            PBSealedManifest.self, from: bytes, what: "a sealed manifest",
            bytesMax: Limits.manifestBytesMax)
        try requireVersion(message.version, what: "a sealed manifest")
        outer = Array(message.outer)
        inner = Array(message.inner)
    }

    /// The bytes whose SHA-256 is the manifest id.
    package func serialized() -> [UInt8] {
        var message = PBSealedManifest()
        message.version = 1
        message.outer = Data(outer)
        message.inner = Data(inner)
        return serializeMessage(message)
    }
}
