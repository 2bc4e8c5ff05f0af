internal import PetalsCore

/// What a command asks of a node about catalogues.
enum CatalogueRequest: Codable, Sendable {
    case create(title: String, ownerKey: String?)
    case adopt(delegation: String, title: String?)
    case add(AddEntry)
    case withdraw(catalogue: String, name: String, ownerKey: String?)
    case follow(link: String, peers: [String])
    case unfollow(catalogue: String)
    case show(catalogue: String)
    case list
    case signer

    struct AddEntry: Codable, Sendable {
        var catalogue: String
        /// The name of a registered model.
        var model: String
        /// The name in the catalogue; the model's unless given.
        var name: String?
        /// Only the right to hold it is published.
        var relayOnly: Bool
        /// Texts that take the place of the manifest's.
        var version: String?
        var license: String?
        var parameters: String?
        var quantization: String?
        var origin: String?
        var commit: String?
        var ownerKey: String?
    }
}

/// A line of `catalog ls`.
struct CatalogueSummary: Codable, Sendable {
    var title: String
    var link: String
    /// Whether this node signs it.
    var own: Bool
    var followed: Bool
    var models: Int
    /// 0 before anything has come.
    var sequence: Int
    /// When this node last heard of it, in seconds since 1970.
    var heardAt: Int?
    /// Connected peers that follow it.
    var peers: Int
    /// Proofs that its signer told two stories.
    var evidence: Int
    /// Why the latest head that did not count was refused.
    var refused: String?
}

/// What `catalog show` prints.
struct CatalogueDetails: Codable, Sendable {
    struct Entry: Codable, Sendable {
        var name: String
        /// The name here; null where it is not shown.
        var shownAs: String?
        var manifest: String
        /// Whether who follows the catalogue may read it; else only hold it.
        var readable: Bool
        var size: Int
        var sha256: String?
        var metadata: ModelMetadata
        var link: String
        var addedAt: Int
    }

    struct Refusal: Codable, Sendable {
        var reason: String
        var teller: String
        var seenAt: Int
    }

    struct Evidence: Codable, Sendable {
        var knownSequence: Int
        var offeredSequence: Int
        var seenAt: Int
        /// Both signed heads, in hexadecimal, for whoever wants to check.
        var known: String
        var offered: String
    }

    var summary: CatalogueSummary
    var issue: Int
    /// The key that signed the head; null before one has come.
    var signer: String?
    /// Whether that is a delegate's key.
    var delegated: Bool
    /// When the delegation ends, in seconds since 1970.
    var delegationExpiresAt: Int?
    var signedAt: Int?
    var entries: [Entry]
    /// Records that were not understood, by their position, with the reason.
    var ignored: [String]
    var refusals: [Refusal]
    var evidence: [Evidence]
}

/// Whose word counts where models have to be vouched for.
struct SignatureRules: Codable, Sendable {
    /// Publishers' keys that the user named, in base32.
    var publishers: [String]

    /// Reads what a user gave.
    ///
    /// - Throws: `PetalsError.badInput` where a key is none.
    init(publishers: [String]) throws(PetalsError) {
        for key in publishers where Base32.decode(key)?.count != Digest.byteCount {
            throw PetalsError(
                .badInput,
                "--publisher takes the 52 letters and digits that `petalsfs info` shows as "
                    + "publisher, not “\(ModelPath.printable(key))”")
        }
        self.publishers = publishers.map { $0.lowercased() }
    }
}
