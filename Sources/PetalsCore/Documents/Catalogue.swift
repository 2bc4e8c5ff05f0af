//
// Catalogues: a publisher's signed list of models.
//
// A catalogue is a log of records that only grows, and a head that is signed over all of it. Its
// name is the public key of its owner, so that whoever has the name can check everything else.
//
//   CatalogueRecord    one line of the log: a title, an entry, or a withdrawn entry's name
//   CatalogueLog       all records, oldest first, and what they say when they are read so
//   CatalogueHead      owner, issue, sequence, root, digest of the log, time: what is signed
//   SignedHead         a head with its signature; travels by itself and fits an item of the DHT
//   CatalogueDelegation, SignedDelegation
//                      the owner lets another key sign until a day, so that his own can be offline
//
// The sequence is the number of records, and the root is that of RFC 9162's tree over them. So two
// things can be told from heads alone, by anybody, for ever: of two heads of one issue the one with
// the greater sequence is newer, and two heads with one sequence and two roots prove that the
// signer told two stories (equivocation). That a newer log only adds to an older one is shown by
// the root over as many of its records as the older head counts; the older log is not needed.
//
// The highest head wins. What comes lower is a rollback, or a peer that has not heard; it changes
// nothing. What does not extend what is known is refused, and both heads are kept as evidence.
//
// An *issue* is the number of a delegation, in petalsfs the second in which it was made. A higher
// issue ends the lower ones: that is how an owner takes a lost signing key's power away before it
// expires. Only in a higher issue may the log differ from what was known, since a thief may have
// added to it; that is said, never silent.
//
// A record that is not understood, or breaks a rule, keeps its place in the log and says nothing:
// the catalogue goes on. A head or a log that breaks a rule is refused as a whole.
//
// Catalogues are public to whoever knows their name. A private model is listed by its relay cap
// only, so that donors can hold it, or not at all.
//

/// The Ed25519 public key of a catalogue's owner, which is the catalogue's name.
package typealias CatalogueID = Digest

/// What is signed of a catalogue.
package struct CatalogueHead: Hashable, Sendable {
    package var owner: CatalogueID
    /// That of the delegation under which it is signed; 0 before there was one.
    package var issue: Int
    /// Number of records.
    package var sequence: Int
    /// RFC 9162 tree over the records.
    package var root: Digest
    /// SHA-256 of the serialized log, by which it is fetched.
    package var logDigest: Digest
    package var logBytes: Int
    /// Seconds since 1970.
    package var createdAt: Int

    /// What is signed in front of the body, so that the signature fits no other use.
    package static let domain = Array("petalsfs catalogue head v1".utf8)

    package init(
        owner: CatalogueID, issue: Int, sequence: Int, root: Digest, logDigest: Digest,
        logBytes: Int, createdAt: Int
    ) {
        self.owner = owner
        self.issue = issue
        self.sequence = sequence
        self.root = root
        self.logDigest = logDigest
        self.logBytes = logBytes
        self.createdAt = createdAt
    }

    /// Whether this head counts more than another of the same catalogue.
    package func isNewer(than other: CatalogueHead) -> Bool {
        (issue, sequence) > (other.issue, other.sequence)
    }
}

/// The owner lets another key sign heads.
package struct CatalogueDelegation: Hashable, Sendable {
    package var owner: CatalogueID
    /// An Ed25519 public key.
    package var delegate: Digest
    /// A higher one ends those before it.
    package var issue: Int
    /// Seconds since 1970.
    package var notBefore: Int
    /// Seconds since 1970.
    package var expiresAt: Int

    /// What is signed in front of the body.
    package static let domain = Array("petalsfs catalogue delegation v1".utf8)

    package init(
        owner: CatalogueID, delegate: Digest, issue: Int, notBefore: Int, expiresAt: Int
    ) {
        self.owner = owner
        self.delegate = delegate
        self.issue = issue
        self.notBefore = notBefore
        self.expiresAt = expiresAt
    }
}

/// A delegation as its owner signed it.
///
/// Whoever parsed it knows what it says; only `CatalogueSigning` says whether it is true.
package struct SignedDelegation: Hashable, Sendable {
    /// The serialized `CatalogueDelegation`, as it was signed.
    package let body: [UInt8]
    package let delegation: CatalogueDelegation
    package let signature: [UInt8]
    /// By the owner, of the DHT's item that carries this; empty where there is none.
    package var itemSignature: [UInt8]

    package init(delegation: CatalogueDelegation, signature: [UInt8], itemSignature: [UInt8]) {
        body = delegation.serialized()
        self.delegation = delegation
        self.signature = signature
        self.itemSignature = itemSignature
    }

    init(
        body: [UInt8], delegation: CatalogueDelegation, signature: [UInt8], itemSignature: [UInt8]
    ) {
        self.body = body
        self.delegation = delegation
        self.signature = signature
        self.itemSignature = itemSignature
    }
}

/// A head as it was signed.
package struct SignedHead: Hashable, Sendable {
    /// The serialized `CatalogueHead`, as it was signed.
    package let body: [UInt8]
    package let head: CatalogueHead
    package let signature: [UInt8]
    /// What lets the signer sign; nil where that is the owner.
    package let delegation: SignedDelegation?
    /// By the signer, of the DHT's item that carries this; empty where there is none.
    package var itemSignature: [UInt8]

    package init(
        head: CatalogueHead, signature: [UInt8], delegation: SignedDelegation?,
        itemSignature: [UInt8]
    ) {
        body = head.serialized()
        self.head = head
        self.signature = signature
        self.delegation = delegation
        self.itemSignature = itemSignature
    }

    init(
        body: [UInt8], head: CatalogueHead, signature: [UInt8], delegation: SignedDelegation?,
        itemSignature: [UInt8]
    ) {
        self.body = body
        self.head = head
        self.signature = signature
        self.delegation = delegation
        self.itemSignature = itemSignature
    }

    /// The key that signed, or claims to have.
    package var signer: Digest { delegation?.delegation.delegate ?? head.owner }
}

/// A model as a catalogue lists it.
package struct CatalogueEntry: Hashable, Sendable {
    /// One path component.
    package var name: String
    package var manifestID: ManifestID
    package var capability: ModelLink.Capability
    /// Whether the model is one file, else a folder.
    package var isSingleFile: Bool
    /// Of a single file.
    package var isExecutable: Bool
    /// Bytes of plaintext.
    package var size: Int
    /// Of a single file.
    package var sha256: Digest?
    package var metadata: ModelMetadata
    /// Seconds since 1970.
    package var addedAt: Int

    package init(
        name: String, manifestID: ManifestID, capability: ModelLink.Capability,
        isSingleFile: Bool, isExecutable: Bool = false, size: Int, sha256: Digest? = nil,
        metadata: ModelMetadata = ModelMetadata(), addedAt: Int
    ) {
        self.name = name
        self.manifestID = manifestID
        self.capability = capability
        self.isSingleFile = isSingleFile
        self.isExecutable = isExecutable
        self.size = size
        self.sha256 = sha256
        self.metadata = metadata
        self.addedAt = addedAt
    }

    /// Whether who follows the catalogue may read the model; else only hold it.
    package var isReadable: Bool {
        if case .read = capability { true } else { false }
    }

    /// The link or relay cap of the entry.
    package var link: ModelLink {
        ModelLink(
            capability: capability, manifestID: manifestID, name: isReadable ? name : nil)
    }
}

/// One line of a catalogue's log.
package enum CatalogueRecord: Hashable, Sendable {
    /// What the catalogue is called from here on.
    case title(String)
    /// A model, or a new version of the one of that name.
    case entry(CatalogueEntry)
    /// The name of an entry that is listed no more.
    case withdrawn(String)
}

/// All records of a catalogue, oldest first, and what they say.
package struct CatalogueLog: Hashable, Sendable {
    /// The records as they were signed.
    package private(set) var records: [[UInt8]] = []
    /// What the catalogue is called; empty where nothing was said.
    package private(set) var title = ""
    /// The entries that are listed, in the order in which they were added.
    package var entries: [CatalogueEntry] { listed.values.sorted { $0.at < $1.at }.map(\.entry) }
    /// Positions of records that say nothing, with the reason.
    package private(set) var ignored: [(position: Int, reason: String)] = []

    private var listed: [String: (at: Int, entry: CatalogueEntry)] = [:]

    /// A log without records.
    package init() {}

    /// Adds a record.
    ///
    /// - Throws: `PetalsError.limitExceeded` where the log or the record becomes too large.
    package mutating func append(_ record: CatalogueRecord) throws(PetalsError) {
        try record.validate()
        try append(record.serialized())
    }

    /// Adds a record as it was signed; one that breaks a rule is kept and says nothing.
    mutating func append(_ record: [UInt8]) throws(PetalsError) {
        guard record.count <= Limits.catalogueRecordBytesMax else {
            throw PetalsError(
                .limitExceeded,
                "a catalogue's record has \(record.count) bytes, more than the limit of "
                    + "\(Limits.catalogueRecordBytesMax); shorten its texts")
        }
        guard records.count < Limits.catalogueRecordsMax else {
            throw PetalsError(
                .limitExceeded,
                "a catalogue has at most \(Limits.catalogueRecordsMax) records, those of what was "
                    + "withdrawn included; begin another catalogue")
        }
        let position = records.count
        records.append(record)
        do throws(PetalsError) {
            switch try CatalogueRecord(parsing: record) {
            case .title(let text): title = text
            case .entry(let entry): listed[entry.name] = (position, entry)
            case .withdrawn(let name): listed[name] = nil
            }
        } catch {
            ignored.append((position, error.message))
        }
    }

    /// The entry of a name; nil where none is listed.
    package func entry(named name: String) -> CatalogueEntry? { listed[name]?.entry }

    package static func == (a: Self, b: Self) -> Bool { a.records == b.records }

    package func hash(into hasher: inout Hasher) { hasher.combine(records) }
}
