internal import Foundation
internal import SwiftProtobuf

extension CatalogueHead {
    /// Reads what a head says; its signature is checked by `CatalogueSigning`.
    ///
    /// - Throws: `PetalsError` saying which field is wrong.
    package init(parsing bytes: [UInt8]) throws(PetalsError) {
        let what = "a catalogue's head"
        let message = try parseMessage(
            PBCatalogueHead.self, from: bytes, what: what,
            bytesMax: Limits.catalogueHeadBytesMax)
        try requireVersion(message.version, what: what)
        owner = try Digest(field: message.owner, what: "the owner of a catalogue")
        issue = try number(message.issue, of: "the issue of a catalogue")
        sequence = try number(message.sequence, of: "the sequence of a catalogue")
        root = try Digest(field: message.root, what: "the root of a catalogue")
        logDigest = try Digest(field: message.logSha256, what: "the digest of a catalogue's log")
        logBytes = try number(message.logBytes, of: "the size of a catalogue's log")
        createdAt = try number(message.createdAt, of: "the time of a catalogue")
        guard (1...Limits.catalogueRecordsMax).contains(sequence),
            (1...Limits.catalogueLogBytesMax).contains(logBytes)
        else {
            throw PetalsError(
                .limitExceeded,
                "a catalogue claims \(sequence) records of \(logBytes) bytes; petalsfs takes 1 to "
                    + "\(Limits.catalogueRecordsMax) of at most \(Limits.catalogueLogBytesMax)")
        }
    }

    /// The body that is signed.
    package func serialized() -> [UInt8] {
        var message = PBCatalogueHead()
        message.version = 1
        message.owner = owner.field
        message.issue = UInt64(clamping: issue)
        message.sequence = UInt64(clamping: sequence)
        message.root = root.field
        message.logSha256 = logDigest.field
        message.logBytes = UInt64(clamping: logBytes)
        message.createdAt = UInt64(clamping: createdAt)
        return serializeMessage(message)
    }
}

extension CatalogueDelegation {
    /// Reads what a delegation says; its signature is checked by `CatalogueSigning`.
    ///
    /// - Throws: `PetalsError` saying which field is wrong.
    package init(parsing bytes: [UInt8]) throws(PetalsError) {
        let what = "a catalogue's delegation"
        let message = try parseMessage(
            PBCatalogueDelegation.self, from: bytes, what: what,
            bytesMax: Limits.catalogueHeadBytesMax)
        try requireVersion(message.version, what: what)
        owner = try Digest(field: message.owner, what: "the owner in a delegation")
        delegate = try Digest(field: message.delegate, what: "the key in a delegation")
        issue = try number(message.issue, of: "the issue of a delegation")
        notBefore = try number(message.notBefore, of: "the beginning of a delegation")
        expiresAt = try number(message.expiresAt, of: "the end of a delegation")
    }

    /// The body that is signed.
    package func serialized() -> [UInt8] {
        var message = PBCatalogueDelegation()
        message.version = 1
        message.owner = owner.field
        message.delegate = delegate.field
        message.issue = UInt64(clamping: issue)
        message.notBefore = UInt64(clamping: notBefore)
        message.expiresAt = UInt64(clamping: expiresAt)
        return serializeMessage(message)
    }
}

extension SignedDelegation {
    /// Reads a signed delegation.
    ///
    /// - Throws: `PetalsError` saying which field is wrong.
    package init(parsing bytes: [UInt8]) throws(PetalsError) {
        try self.init(message: try parseSigned(bytes, what: "a catalogue's delegation"))
    }

    /// The bytes that travel.
    package func serialized() -> [UInt8] { serializeMessage(message) }

    init(message: PBSignedDelegation) throws(PetalsError) {
        let body = Array(message.body)
        self.init(
            body: body, delegation: try CatalogueDelegation(parsing: body),
            signature: Array(message.signature), itemSignature: Array(message.itemSignature))
    }

    var message: PBSignedDelegation {
        var message = PBSignedDelegation()
        message.body = Data(body)
        message.signature = Data(signature)
        message.itemSignature = Data(itemSignature)
        return message
    }
}

extension SignedHead {
    /// Reads a signed head.
    ///
    /// - Throws: `PetalsError` saying which field is wrong.
    package init(parsing bytes: [UInt8]) throws(PetalsError) {
        try self.init(message: try parseSigned(bytes, what: "a catalogue's head"))
    }

    /// The bytes that travel.
    package func serialized() -> [UInt8] { serializeMessage(message) }

    init(message: PBSignedHead) throws(PetalsError) {
        let body = Array(message.body)
        self.init(
            body: body, head: try CatalogueHead(parsing: body),
            signature: Array(message.signature),
            delegation: message.hasDelegation
                ? try SignedDelegation(message: message.delegation) : nil,
            itemSignature: Array(message.itemSignature))
    }

    var message: PBSignedHead {
        var message = PBSignedHead()
        message.body = Data(body)
        message.signature = Data(signature)
        if let delegation { message.delegation = delegation.message }
        message.itemSignature = Data(itemSignature)
        return message
    }
}

extension CatalogueLog {
    /// Reads a log; whether it is the one of a head is checked by `CatalogueSigning`.
    ///
    /// - Throws: `PetalsError` where it or a record is larger than allowed, or where it is not
    ///   written as every writer writes it, so that one log has one digest.
    package init(parsing bytes: [UInt8]) throws(PetalsError) {
        let message = try parseMessage(
            PBCatalogueLog.self, from: bytes, what: "a catalogue's log",
            bytesMax: Limits.catalogueLogBytesMax)
        self.init()
        for record in message.records { try append(Array(record)) }
        guard serialized() == bytes else {
            throw PetalsError(
                .corrupt, "a catalogue's log has fields that no log has; it is not what it claims")
        }
    }

    /// The bytes whose SHA-256 is in the head.
    package func serialized() -> [UInt8] {
        var message = PBCatalogueLog()
        message.records = records.map { Data($0) }
        return serializeMessage(message)
    }
}

extension CatalogueRecord {
    /// Reads a record.
    ///
    /// - Throws: `PetalsError` saying what is wrong with it; `.unsupportedVersion` for a kind that
    ///   a later petalsfs may know.
    init(parsing bytes: [UInt8]) throws(PetalsError) {
        let message = try parseMessage(
            PBCatalogueRecord.self, from: bytes, what: "a catalogue's record",
            bytesMax: Limits.catalogueRecordBytesMax)
        switch message.content {
        case .title(let text): self = .title(text)
        case .entry(let entry): self = .entry(try CatalogueEntry(message: entry))
        case .withdrawn(let name): self = .withdrawn(name)
        case nil:
            throw PetalsError(
                .unsupportedVersion, "a record is of a kind that this petalsfs does not know")
        }
        try validate()
    }

    /// The bytes that are part of a log.
    func serialized() -> [UInt8] {
        var message = PBCatalogueRecord()
        switch self {
        case .title(let text): message.title = text
        case .entry(let entry): message.entry = entry.message
        case .withdrawn(let name): message.withdrawn = name
        }
        return serializeMessage(message)
    }

    /// Throws unless names are names and texts fit a line of a terminal.
    package func validate() throws(PetalsError) {
        switch self {
        case .title(let text):
            guard !text.isEmpty else {
                throw PetalsError(.badInput, "a catalogue's title is empty; give it some letters")
            }
            try Self.check(text, what: "title")
        case .withdrawn(let name): try ModelPath.check(component: name)
        case .entry(let entry):
            try ModelPath.check(component: entry.name)
            guard entry.size <= Limits.blobBytesMax, entry.size >= 0 else {
                throw PetalsError(
                    .limitExceeded, "“\(entry.name)” claims more than 16 TiB")
            }
            let metadata = entry.metadata
            guard metadata.tags.count <= Limits.tagsMax else {
                throw PetalsError(
                    .limitExceeded, "“\(entry.name)” has more than \(Limits.tagsMax) tags")
            }
            for (what, text) in metadata.texts { try Self.check(text, what: what) }
        }
    }

    private static func check(_ text: String, what: String) throws(PetalsError) {
        guard text.utf8.count <= Limits.catalogueTextBytesMax else {
            throw PetalsError(
                .limitExceeded,
                "the \(what) is longer than \(Limits.catalogueTextBytesMax) bytes; shorten it")
        }
        guard ModelPath.isPrintable(text) else {
            throw PetalsError(
                .badInput, "the \(what) contains a control character; leave it out")
        }
    }
}

extension CatalogueEntry {
    init(message: PBCatalogueEntry) throws(PetalsError) {
        let capability: ModelLink.Capability =
            switch message.capability {
            case .readKey(let key): .read(try SecretKey(field: key, what: "an entry's read key"))
            case .relayKey(let key):
                .relay(try SecretKey(field: key, what: "an entry's relay key"))
            case nil: throw PetalsError(.corrupt, "an entry has neither read key nor relay key")
            }
        self.init(
            name: message.name,
            manifestID: try Digest(field: message.manifestID, what: "an entry's manifest id"),
            capability: capability, isSingleFile: message.singleFile,
            isExecutable: message.executable,
            size: try number(message.size, of: "the size of an entry"),
            sha256: message.sha256.isEmpty
                ? nil : try Digest(field: message.sha256, what: "an entry's SHA-256"),
            metadata: ModelMetadata(unchecked: message.metadata),
            addedAt: try number(message.addedAt, of: "the time of an entry"))
    }

    var message: PBCatalogueEntry {
        var message = PBCatalogueEntry()
        message.name = name
        message.manifestID = manifestID.field
        switch capability {
        case .read(let key): message.readKey = Data(key.bytes)
        case .relay(let key): message.relayKey = Data(key.bytes)
        }
        message.singleFile = isSingleFile
        message.executable = isExecutable
        message.size = UInt64(clamping: size)
        if let sha256 { message.sha256 = sha256.field }
        if metadata != ModelMetadata() { message.metadata = metadata.message }
        message.addedAt = UInt64(clamping: addedAt)
        return message
    }
}

/// Reads a message that travels with a signature over its body.
private func parseSigned<M: SwiftProtobuf.Message>(
    _ bytes: [UInt8], what: String
) throws(PetalsError) -> M {
    try parseMessage(
        M.self, from: bytes, what: what, bytesMax: Limits.catalogueHeadBytesMax)
}

/// A number of a document that has to be counted with; 2^62 is more than any of them means.
private func number(_ value: UInt64, of what: String) throws(PetalsError) -> Int {
    guard let number = Int(exactly: value), number < 1 << 62 else {
        throw PetalsError(.corrupt, "\(what) is out of range")
    }
    return number
}
