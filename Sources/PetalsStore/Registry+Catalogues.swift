internal import Foundation
internal import GRDB
internal import Logging
package import PetalsCodec
package import PetalsCore

/// A catalogue that this node follows or signs.
package struct CatalogueRow: Sendable {
    /// The owner's public key.
    package let id: CatalogueID
    /// Whether this node signs it, as its owner or as a delegate.
    package var isOwn: Bool
    /// Whether its entries are shown here.
    package var isFollowed: Bool
    /// What it was called when it was added; its own title counts once it is here.
    package var name: String
    /// Addresses that its link named.
    package var peers: [String]
    /// What lets this node sign it; nil where it is the owner, or does not sign.
    package var delegation: SignedDelegation?
    /// The highest head that was accepted; nil before the first.
    package var head: CatalogueSigning.CheckedHead?
    /// When a peer or the DHT last named this head, in seconds since 1970.
    package var heardAt: Int?
    /// When it was followed or created.
    package var addedAt: Int

    /// Makes a row for `Registry.keep`.
    package init(
        id: CatalogueID, isOwn: Bool = false, isFollowed: Bool = false, name: String,
        peers: [String] = [], delegation: SignedDelegation? = nil, addedAt: Int
    ) {
        self.id = id
        self.isOwn = isOwn
        self.isFollowed = isFollowed
        self.name = name
        self.peers = peers
        self.delegation = delegation
        self.addedAt = addedAt
    }
}

/// A model that a followed catalogue lists.
package struct CatalogueModel: Hashable, Sendable {
    /// The catalogue that lists it.
    package let catalogue: CatalogueID
    /// What that catalogue is called.
    package let title: String
    package let entry: CatalogueEntry

    /// Pairs an entry with its catalogue.
    package init(catalogue: CatalogueID, title: String, entry: CatalogueEntry) {
        self.catalogue = catalogue
        self.title = title
        self.entry = entry
    }

    /// What is needed to hold the model, whether or not it may be read.
    package var relayCap: ModelLink {
        ModelLink(capability: .relay(relayKey), manifestID: entry.manifestID)
    }

    /// The model's relay key.
    package var relayKey: SecretKey {
        switch entry.capability {
        case .read(let key): KeyDerivation.relayKey(of: key)
        case .relay(let key): key
        }
    }
}

/// Two heads that cannot both be true, as a node keeps them to show to others.
package struct CatalogueEvidence: Sendable {
    /// The head that was known, and stays.
    package let known: SignedHead
    /// The head that was refused.
    package let offered: SignedHead
    /// When it came, in seconds since 1970.
    package let seenAt: Int
}

extension Registry {
    /// Pieces of evidence that are kept of one catalogue: the first proves enough.
    static let evidenceMax = 8

    // MARK: What donors and readers ask

    /// The models that the followed catalogues list, in the order in which the catalogues were
    /// followed and their entries added.
    ///
    /// Each entry has a read link or a relay cap; `relayCap` is there for both. A model that two
    /// catalogues list comes twice.
    package func catalogueModels() throws(PetalsError) -> [CatalogueModel] {
        var models: [CatalogueModel] = []
        for row in try catalogues() where row.isFollowed {
            guard let log = try catalogueLog(of: row.id) else { continue }
            let title = log.title.isEmpty ? row.name : log.title
            models += log.entries.map {
                CatalogueModel(catalogue: row.id, title: title, entry: $0)
            }
        }
        return models
    }

    /// The catalogues that are followed or signed here, oldest first.
    package func catalogues() throws(PetalsError) -> [CatalogueRow] {
        let rows = try read { database in
            try Row.fetchAll(
                database,
                sql: """
                    SELECT owner, own, followed, name, peers, delegation, head, heard_at, added_at
                    FROM catalogues ORDER BY added_at, rowid
                    """)
        }
        return rows.compactMap(row)
    }

    /// The catalogue of an id; nil where it is neither followed nor signed here.
    package func catalogue(_ id: CatalogueID) throws(PetalsError) -> CatalogueRow? {
        try catalogues().first { $0.id == id }
    }

    /// The log of the highest head that was accepted; nil before the first.
    package func catalogueLog(of id: CatalogueID) throws(PetalsError) -> CatalogueLog? {
        let bytes = try read { database in
            try Data.fetchOne(
                database, sql: "SELECT log FROM catalogues WHERE owner = ?",
                arguments: [Data(id.bytes)])
        }
        return try bytes.map { bytes throws(PetalsError) in try CatalogueLog(parsing: Array(bytes))
        }
    }

    // MARK: Change

    /// Adds a catalogue, or changes what is said of it; head and log stay as they are.
    ///
    /// - Throws: `.limitExceeded` where there would be more than `Limits.cataloguesMax`.
    package func keep(_ row: CatalogueRow) throws(PetalsError) {
        try write { database in
            let others = try Int.fetchOne(
                database, sql: "SELECT COUNT(*) FROM catalogues WHERE owner <> ?",
                arguments: [Data(row.id.bytes)])
            guard (others ?? 0) < Limits.cataloguesMax else {
                throw PetalsError(
                    .limitExceeded,
                    "a node has at most \(Limits.cataloguesMax) catalogues; leave one with "
                        + "`petalsfs catalog unfollow`")
            }
            try database.execute(
                sql: """
                    INSERT INTO catalogues
                    (owner, own, followed, name, peers, delegation, added_at)
                    VALUES (:owner, :own, :followed, :name, :peers, :delegation, :added_at)
                    ON CONFLICT (owner) DO UPDATE SET own = :own, followed = :followed,
                    name = :name, peers = :peers, delegation = :delegation
                    """,
                arguments: [
                    "owner": Data(row.id.bytes), "own": row.isOwn, "followed": row.isFollowed,
                    "name": row.name, "peers": row.peers.joined(separator: " "),
                    "delegation": row.delegation.map { Data($0.serialized()) },
                    "added_at": row.addedAt,
                ])
        }
    }

    /// Forgets a catalogue, its log and the evidence against it.
    package func removeCatalogue(_ id: CatalogueID) throws(PetalsError) {
        try write { database in
            try database.execute(
                sql: "DELETE FROM catalogues WHERE owner = ?", arguments: [Data(id.bytes)])
        }
    }

    /// Takes a head for the highest of its catalogue, with its log: both or neither.
    ///
    /// - Returns: false where a higher one was accepted meanwhile, or the catalogue is forgotten.
    package func accept(
        _ head: CatalogueSigning.CheckedHead, log: CatalogueLog, heardAt: Int
    ) throws(PetalsError) -> Bool {
        let id = Data(head.head.owner.bytes)
        return try write { database in
            guard
                let row = try Row.fetchOne(
                    database, sql: "SELECT head FROM catalogues WHERE owner = ?", arguments: [id])
            else { return false }
            let kept: Data? = row["head"]
            // One that the disk has damaged counts as none.
            if let kept,
                let known = try? CatalogueSigning.restore(Array(kept), of: head.head.owner),
                !head.head.isNewer(than: known.head)
            {
                return false
            }
            try database.execute(
                sql: "UPDATE catalogues SET head = ?, log = ?, heard_at = ? WHERE owner = ?",
                arguments: [
                    Data(head.signed.serialized()), Data(log.serialized()), heardAt, id,
                ])
            return true
        }
    }

    /// Notes that the known head of a catalogue was named again.
    package func noteHeard(_ id: CatalogueID, at time: Int) throws(PetalsError) {
        try write { database in
            try database.execute(
                sql: "UPDATE catalogues SET heard_at = ? WHERE owner = ?",
                arguments: [time, Data(id.bytes)])
        }
    }

    // MARK: Evidence

    /// Keeps two heads that cannot both be true.
    ///
    /// - Parameter log: the offered head's, where the heads alone do not show it.
    /// - Returns: false where it was known.
    package func keepEvidence(
        known: SignedHead, offered: SignedHead, log: [UInt8]?, seenAt: Int
    ) throws(PetalsError) -> Bool {
        let id = Data(known.head.owner.bytes)
        return try write { database in
            let count = try Int.fetchOne(
                database, sql: "SELECT COUNT(*) FROM catalogue_evidence WHERE owner = ?",
                arguments: [id])
            let exists = try Bool.fetchOne(
                database, sql: "SELECT 1 FROM catalogues WHERE owner = ?", arguments: [id])
            guard exists == true, (count ?? 0) < Self.evidenceMax else { return false }
            try database.execute(
                sql: """
                    INSERT OR IGNORE INTO catalogue_evidence
                    (owner, known, offered, log, seen_at) VALUES (?, ?, ?, ?, ?)
                    """,
                arguments: [
                    id, Data(known.serialized()), Data(offered.serialized()),
                    log.map { Data($0) }, seenAt,
                ])
            return database.changesCount == 1
        }
    }

    /// The evidence against a catalogue, oldest first.
    package func evidence(
        against id: CatalogueID
    ) throws(PetalsError) -> [CatalogueEvidence] {
        let rows = try read { database in
            try Row.fetchAll(
                database,
                sql: """
                    SELECT known, offered, seen_at FROM catalogue_evidence WHERE owner = ?
                    ORDER BY seen_at
                    """, arguments: [Data(id.bytes)])
        }
        return rows.compactMap { row in
            let (known, offered): (Data, Data) = (row["known"], row["offered"])
            // Evidence that the disk has damaged proves nothing.
            guard let known = try? SignedHead(parsing: Array(known)),
                let offered = try? SignedHead(parsing: Array(offered))
            else { return nil }
            return CatalogueEvidence(known: known, offered: offered, seenAt: row["seen_at"])
        }
    }

    // MARK: Rows

    private func row(_ row: Row) -> CatalogueRow? {
        let (owner, name, peers): (Data, String, String) = (row["owner"], row["name"], row["peers"])
        guard let id = Digest(owner) else { return nil }
        let (delegation, head): (Data?, Data?) = (row["delegation"], row["head"])
        var result = CatalogueRow(
            id: id, isOwn: row["own"], isFollowed: row["followed"], name: name,
            peers: peers.split(separator: " ").map(String.init), addedAt: row["added_at"])
        result.heardAt = row["heard_at"]
        do throws(PetalsError) {
            result.delegation = try delegation.map { bytes throws(PetalsError) in
                try SignedDelegation(parsing: Array(bytes))
            }
            result.head = try head.map { bytes throws(PetalsError) in
                try CatalogueSigning.restore(Array(bytes), of: id)
            }
        } catch {
            logger.error(
                """
                the catalogue “\(ModelPath.printable(name))” is damaged in the registry and is \
                fetched again: \(error.message)
                """)
            result.head = nil
        }
        return result
    }
}
