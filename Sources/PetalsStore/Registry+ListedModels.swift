internal import Foundation
internal import GRDB
package import PetalsCore

/// Models that are here because a followed catalogue lists them and somebody has opened them.
///
/// They are registered as any other, so that their blobs are known and their shards can be counted,
/// with a mark that says whose they are. The mark goes when the user makes one his own (`pin`); a
/// model that is listed no more is retired: nobody sees it, whoever has its files open goes on,
/// and the next start forgets it.
extension Registry {
    /// The marked models that are not retired, with the catalogue of each, by name.
    package func listedModels() throws(PetalsError) -> [String: CatalogueID] {
        let rows = try read { database in
            try Row.fetchAll(
                database, sql: "SELECT name, owner FROM catalogue_models WHERE NOT retired"
            ).map { ($0["name"] as String, $0["owner"] as Data) }
        }
        var listed: [String: CatalogueID] = [:]
        for (name, owner) in rows { listed[name] = Digest(owner) }
        return listed
    }

    /// Registers a model that a catalogue lists, when its manifest has come.
    ///
    /// - Throws: `.badInput` when a model of the user's own has the name.
    package func addListed(
        _ model: ModelRow, blobs: [BlobRow], of catalogue: CatalogueID
    ) throws(PetalsError) {
        try write { database in
            try Self.insert(model, database)
            try Self.link(blobs, to: model.name, database)
            try database.execute(
                sql: "INSERT INTO catalogue_models (name, owner) VALUES (?, ?)",
                arguments: [model.name, Data(catalogue.bytes)])
        }
    }

    /// Makes marked models the user's own.
    package func makeOwn(_ names: [String]) throws(PetalsError) {
        try write { database in
            for name in names {
                try database.execute(
                    sql: "DELETE FROM catalogue_models WHERE name = ?", arguments: [name])
            }
        }
    }

    /// Lists marked models no more; their names are free, and what is open of them stays.
    package func retire(_ names: [String]) throws(PetalsError) {
        try write { database in
            for name in names { try Self.retireListed(name, database) }
        }
    }

    /// Forgets retired models; for the start of a node, when nobody has anything open.
    ///
    /// - Returns: the blobs that no model uses now; see `removeModel`.
    package func removeRetired() throws(PetalsError) -> [BlobID] {
        let names = try read { database in
            try String.fetchAll(
                database, sql: "SELECT name FROM catalogue_models WHERE retired")
        }
        var orphans: [BlobID] = []
        for name in names { orphans += try removeModel(name) }
        return orphans
    }

    /// Retires the marked model of a name, if there is one: it gets a name that no model can have.
    static func retireListed(_ name: String, _ database: Database) throws {
        let isListed = try Bool.fetchOne(
            database, sql: "SELECT 1 FROM catalogue_models WHERE name = ? AND NOT retired",
            arguments: [name])
        guard isListed == true, let model = try fetch(name, database) else { return }
        try database.execute(
            sql: "UPDATE catalogue_models SET retired = 1 WHERE name = ?", arguments: [name])
        // The slash keeps it apart from all names; the number from what was retired before.
        let retired =
            try Int.fetchOne(
                database, sql: "SELECT COUNT(*) FROM catalogue_models WHERE retired") ?? 0
        try database.execute(
            sql: "UPDATE models SET name = ? WHERE name = ?",
            arguments: ["retired/\(retired)/\(model.manifestID.hex)", name])
    }
}
