internal import Foundation
internal import GRDB
package import PetalsCore

extension Registry {
    /// Registers a model that is not published here.
    ///
    /// - Parameter blobs: what it is known to consist of; `link(_:to:)` adds more later.
    /// - Throws: `.badInput` when the name is taken.
    package func add(_ model: ModelRow, blobs: [BlobRow] = []) throws(PetalsError) {
        try write { database in
            try Self.insert(model, database)
            try Self.link(blobs, to: model.name, database)
        }
    }

    /// Registers a publication: the manifest's file, then all rows in one transaction.
    ///
    /// It comes last, when all cells and trees are on the disk (`StoredBlob.flush()`): until then,
    /// nothing of the publication is known to anybody.
    ///
    /// - Parameter isNewVersion: whether a model of this name was published here before and gives
    ///   its name to this one. What only the old version used is garbage from then on.
    /// - Throws: `.badInput` when the name is taken, `.corrupt` when the manifest does not match
    ///   its id; then nothing is registered.
    package func publish(
        model: ModelRow, manifest: [UInt8], blobs: [BlobRow], sources: [SourceRow],
        isNewVersion: Bool = false
    ) throws(PetalsError) {
        if !isNewVersion { try requireFree(model.name) }
        try storeManifest(manifest, id: model.manifestID)
        try write { database in
            if isNewVersion {
                try database.execute(
                    sql: "DELETE FROM models WHERE name = ?", arguments: [model.name])
            }
            try Self.insert(model, database)
            try Self.link(blobs, to: model.name, database)
            for source in sources { try Self.upsert(source, database) }
        }
    }

    /// Says that a model consists of these blobs, among others.
    ///
    /// A blob that no model refers to is garbage when the store starts, unless it has shards that
    /// are held.
    ///
    /// - Throws: `.notFound` when there is no such model.
    package func link(_ blobs: [BlobRow], to name: String) throws(PetalsError) {
        try write { database in
            guard try Self.fetch(name, database) != nil else { throw Self.missing(name) }
            try Self.link(blobs, to: name, database)
        }
    }

    /// All models, by name; without those that a catalogue listed and that wait to be forgotten.
    package func models() throws(PetalsError) -> [ModelRow] {
        try read { database in
            try Row.fetchAll(
                database,
                sql: """
                    SELECT * FROM models WHERE name NOT IN
                    (SELECT name FROM catalogue_models WHERE retired) ORDER BY name
                    """
            ).map(Self.model)
        }
    }

    /// The model of this name.
    package func model(named name: String) throws(PetalsError) -> ModelRow? {
        try read { try Self.fetch(name, $0) }
    }

    /// Registers what a model now stands for under its old name: another manifest or key.
    ///
    /// - Throws: `.notFound` when there is no such model.
    package func replace(_ model: ModelRow) throws(PetalsError) {
        try write { database in
            try database.execute(
                sql: """
                    UPDATE models SET manifest_id = :manifest_id, capability = :capability,
                    key = :key, origin = :origin, added_at = :added_at, shards = :shards,
                    found = :found WHERE name = :name
                    """, arguments: Self.arguments(model))
            guard database.changesCount == 1 else { throw Self.missing(model.name) }
        }
    }

    /// Says what came of comparing a model with the SHA-256 by which it was found.
    ///
    /// Nothing happens where the name stands for another manifest by now.
    package func setCheck(
        _ check: ModelRow.Check, of name: String, manifestID: ManifestID
    ) throws(PetalsError) {
        try write { database in
            try database.execute(
                sql: "UPDATE models SET found = ? WHERE name = ? AND manifest_id = ?",
                arguments: [check.rawValue, name, Data(manifestID.bytes)])
        }
    }

    /// Forgets a model.
    ///
    /// - Returns: the blobs that no model uses now. Their rows are gone; hand them to
    ///   `Store.remove(blobs:)`, which deletes their files.
    /// - Throws: `.notFound` when there is no such model.
    package func removeModel(_ name: String) throws(PetalsError) -> [BlobID] {
        let (manifest, blobs) = try write { database in
            guard let model = try Self.fetch(name, database) else { throw Self.missing(name) }
            let orphans = try Data.fetchAll(
                database,
                sql: """
                    SELECT blob_id FROM model_blobs WHERE name = ?1 AND blob_id NOT IN
                    (SELECT blob_id FROM model_blobs WHERE name <> ?1) ORDER BY blob_id
                    """, arguments: [name])
            try database.execute(sql: "DELETE FROM models WHERE name = ?", arguments: [name])
            for blob in orphans {
                try database.execute(sql: "DELETE FROM blobs WHERE blob_id = ?", arguments: [blob])
            }
            let others = try Int.fetchOne(
                database, sql: "SELECT COUNT(*) FROM models WHERE manifest_id = ?",
                arguments: [Data(model.manifestID.bytes)])
            return (others == 0 ? model.manifestID : nil, orphans.compactMap { Digest($0) })
        }
        if let manifest { try Disk.removeFile(manifestPath(manifest)) }
        return blobs
    }

    // MARK: Rows

    static func insert(_ model: ModelRow, _ database: Database) throws {
        try retireListed(model.name, database)
        guard try fetch(model.name, database) == nil else { throw taken(model.name) }
        try database.execute(
            sql: """
                INSERT INTO models
                (name, manifest_id, capability, key, origin, added_at, shards, found) VALUES
                (:name, :manifest_id, :capability, :key, :origin, :added_at, :shards, :found)
                """, arguments: arguments(model))
    }

    static func link(_ blobs: [BlobRow], to name: String, _ database: Database) throws {
        for blob in blobs {
            try upsert(blob, database)
            try database.execute(
                sql: "INSERT OR IGNORE INTO model_blobs (name, blob_id) VALUES (?, ?)",
                arguments: [name, Data(blob.blobID.bytes)])
        }
    }

    static func fetch(_ name: String, _ database: Database) throws -> ModelRow? {
        try Row.fetchOne(
            database, sql: "SELECT * FROM models WHERE name = ?", arguments: [name]
        ).map(model)
    }

    private static func arguments(_ model: ModelRow) -> StatementArguments {
        let (capability, key) =
            switch model.capability {
            case .read(let key): ("read", key)
            case .relay(let key): ("relay", key)
            }
        return [
            "name": model.name, "manifest_id": Data(model.manifestID.bytes),
            "capability": capability, "key": Data(key.bytes), "origin": model.origin.rawValue,
            "added_at": model.addedAt,
            "shards": model.shards.map { "[" + $0.map(String.init).joined(separator: ",") + "]" },
            "found": model.check?.rawValue,
        ]
    }

    private static func model(_ row: Row) throws -> ModelRow {
        let name: String = row["name"]
        let keyBytes: Data = row["key"]
        let idBytes: Data = row["manifest_id"]
        let capability: String = row["capability"]
        let origin: String = row["origin"]
        guard let key = SecretKey(keyBytes), let manifestID = Digest(idBytes),
            let origin = ModelRow.Origin(rawValue: origin)
        else {
            throw PetalsError(
                .corrupt,
                "the registry's row of the model “\(name)” is damaged; remove the model with "
                    + "`petalsfs rm` and add it again")
        }
        let shards: String? = row["shards"]
        let found: String? = row["found"]
        return ModelRow(
            name: name, manifestID: manifestID,
            capability: capability == "read" ? .read(key) : .relay(key), origin: origin,
            addedAt: row["added_at"],
            shards: shards.map { $0.split { !$0.isNumber }.compactMap { Int($0) } },
            // A word that is not ours cannot be there; it would count as not checked.
            check: found.map { ModelRow.Check(rawValue: $0) ?? .unchecked })
    }

    /// Throws where a name is taken, before work that would be in vain.
    ///
    /// What a followed catalogue lists takes no name: it makes room.
    ///
    /// - Throws: `.badInput` with the sentence of `add`.
    package func requireFree(_ name: String) throws(PetalsError) {
        guard try model(named: name) != nil, try listedModels()[name] == nil else { return }
        throw Self.taken(name)
    }

    private static func taken(_ name: String) -> PetalsError {
        PetalsError(
            .badInput,
            "a model named “\(name)” is registered already; choose another with --name or remove "
                + "it with `petalsfs rm \(name)`")
    }

    static func missing(_ name: String) -> PetalsError {
        PetalsError(
            .notFound, "no model named “\(name)” is registered; `petalsfs ls` shows those that are")
    }
}
