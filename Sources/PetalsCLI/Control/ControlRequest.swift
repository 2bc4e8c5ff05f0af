internal import PetalsCore
internal import ShardFetch

/// What a command asks of a node.
///
/// Travels as JSON through `control.sock`.
enum ControlRequest: Codable, Sendable {
    case publish(PublishRequest)
    case hold(HoldRequest)
    case add(AddRequest)
    case list
    case info(name: String)
    case remove(name: String)
    case prefetch(name: String, wait: Bool)
    case pin(name: String)
    case unpin(name: String)
    case evict(name: String)
    case verify(name: String?)
    case status
    case credits
    case limit(rate: String, times: String?)
    case unmount
    case catalogue(CatalogueRequest)

    struct PublishRequest: Codable, Sendable {
        var path: String
        var name: String?
        var isPrivate: Bool
        var license: String?
        var dataShards: Int?
        var groupShards: Int?
        var parity = Publisher.Parity.stored
    }

    struct HoldRequest: Codable, Sendable {
        var link: String
        var shards: [Int]?
        var peers: [String]
    }

    struct AddRequest: Codable, Sendable {
        /// A link, or `sha256:` and the digits of a public file's SHA-256.
        var link: String
        var name: String?
        var peers: [String]
        /// Seconds to look for a file that is given by its SHA-256.
        var timeout: Double
        /// Whether a model is refused that nobody known vouches for.
        var rules: SignatureRules?
    }

    /// Whether the request is served only by talking to peers.
    var needsNetwork: Bool {
        switch self {
        case .hold, .prefetch, .pin: true
        case .add(let request):
            ModelReference.namesFile(request.link) || request.rules != nil
        default: false
        }
    }

    /// The request as a process of its own needs it, which ends when it has its result: nothing can
    /// go on in the background.
    var inForeground: ControlRequest {
        if case .prefetch(let name, _) = self { return .prefetch(name: name, wait: true) }
        return self
    }
}

/// What a node answers: any number of steps and notes, then one result or one error.
enum ControlEvent: Codable, Sendable {
    case progress(done: Int, total: Int)
    /// What is waited for.
    case note(String)
    case result(ControlResult)
    case failure(code: String, message: String)
}

/// What came of a request.
enum ControlResult: Codable, Sendable {
    case published(PublishedModel)
    case held(HeldModel)
    case model(ModelSummary)
    case models([ModelSummary])
    case details(ModelDetails)
    case kept(KeptModel)
    case evicted(EvictedModel)
    case verified(VerifySummary)
    case status(StatusSummary)
    case credits(CreditStatus)
    case catalogue(CatalogueDetails)
    case catalogues([CatalogueSummary])
    case text(String)
    case done
}

/// The contract's answer of `publish --json`.
struct PublishedModel: Codable, Sendable {
    struct File: Codable, Sendable {
        var path: String
        var size: Int
        var stored: Int
        var sha256: String
        /// null for a file that lies in the manifest itself.
        var blob: String?
    }

    var name: String
    var link: String
    var relay: String
    var manifest: String
    var size: Int
    var stored: Int
    /// Bytes that an interrupted attempt had sealed, and this one did not seal again.
    var resumed: Int
    /// The manifest of the version of this name that was published before; null where there was
    /// none, or the same.
    var replaced: String?
    var files: [File]
}

struct HeldModel: Codable, Sendable {
    var name: String
    var manifest: String
    var blobs: Int
    var shards: Int
    var bytes: Int
}

/// What `pin` and `unpin` answer.
struct KeptModel: Codable, Sendable {
    var name: String
    var pinned: Bool
    /// Shards of the model that are pinned now.
    var shards: Int
    /// Bytes of their cells that are here.
    var bytes: Int
}

/// What `evict` answers.
struct EvictedModel: Codable, Sendable {
    var name: String
    var cells: Int
    var bytes: Int
}

/// A line of `ls`.
struct ModelSummary: Codable, Sendable {
    var name: String
    /// published, added or held.
    var origin: String
    /// The title of the catalogue that lists it; null for what the user added.
    var catalogue: String?
    var manifest: String
    /// Whether a donor chooses which of its shards are held.
    var donated: Bool
    /// Whether the manifest has not arrived yet.
    var pending: Bool
    /// Whether it is kept until it is unpinned.
    var pinned: Bool
    var size: Int
    var stored: Int
    var cached: Int
    var files: Int
    var format: String
    var license: String
    /// unchecked, checked or mismatch for a file that was found by its SHA-256; else null.
    var check: String?
    /// stored or none, for a model that was published here; else null.
    var parity: String?
    /// Files that were published and are not served any more, each with the reason and a remedy.
    var changedFiles: [ChangedFile]

    /// The model's state for people.
    var state: String {
        if check == "mismatch" { return "damaged: not the file of its SHA-256" }
        let unchecked = check == "unchecked" ? ", not compared with its SHA-256 yet" : ""
        guard changedFiles.isEmpty else { return "\(origin), but its file has changed" }
        let listed = catalogue.map { "listed by \($0)" }
        let kept = donated ? "donated: shards are held for others" : origin
        return (listed ?? (pending ? "waits for its manifest" : kept))
            + (pinned ? ", pinned" : "")
            + unchecked
    }
}

/// A published file that is not served any more.
struct ChangedFile: Codable, Sendable {
    var path: String
    /// changed, damaged or missing.
    var state: String
    var text: String
}

struct ModelDetails: Codable, Sendable {
    var summary: ModelSummary
    var link: String?
    var relay: String
    var publisher: String?
    var metadata: ModelMetadata?
    var files: [PublishedModel.File]
}

struct VerifySummary: Codable, Sendable {
    var cells: Int
    var bytes: Int
    /// Damaged cells, which were forgotten and will be fetched again.
    var damaged: [String]
    /// Published files that have changed.
    var changedFiles: [String]
    /// Models that are not the file of the SHA-256 by which they were found.
    var wrongModels: [String]
    var clean: Bool
}

/// A file of which reads wait.
struct WaitingFile: Codable, Sendable {
    /// Its model's name, and its path in a folder; the blob's where no model has it any more.
    var name: String
    var reads: Int
    /// What is missing, and who could have it.
    var lacks: String
}

/// A model whose manifest has not arrived, so that it cannot be opened.
struct WaitingManifest: Codable, Sendable {
    var name: String
    /// Who was asked, and what to do.
    var lacks: String
}

struct StatusSummary: Codable, Sendable {
    /// Files that were published and are not served any more.
    var changedFiles: [ChangedFile]
    var state: String
    /// Whether there is a state folder; it is made by what needs one.
    var exists: Bool
    var mount: String?
    var node: NodeStatus?
    /// Files of which reads wait for bytes that have not come.
    var waiting: [WaitingFile]
    /// Models whose manifest is looked for and has not come.
    var waitingManifests: [WaitingManifest]
    /// Bytes of cells by class.
    var store: [String: Int]
    /// The most bytes of cached cells; absent where only the disk is the limit.
    var cacheSize: Int?
    /// Bytes of the disk that the cache leaves free.
    var cacheFree: Int
    /// Bytes of the disk that are free; absent where it does not say.
    var diskFree: Int?
    var models: Int
    /// Models that are not the file of the SHA-256 by which they were found.
    var wrongModels: [String]
    /// Catalogues that are followed or signed here.
    var catalogues: [CatalogueSummary]
    /// What this node gives for others; absent where it does not choose shards by itself.
    var donation: DonationStatus?
}
