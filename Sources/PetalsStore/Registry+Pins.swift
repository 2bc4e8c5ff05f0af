internal import Foundation
internal import GRDB
package import PetalsCore

/// Which models are pinned.
///
/// A pin belongs to a model and not to its shards, as two models may share a blob: it stays pinned
/// until both are unpinned.
extension Registry {
    /// The names of the models that are pinned.
    package func pins() throws(PetalsError) -> Set<String> {
        try read { try String.fetchSet($0, sql: "SELECT name FROM pins") }
    }

    /// Pins or unpins a model; either may be said twice.
    ///
    /// - Throws: `.notFound` when there is no such model.
    func setPinned(_ isPinned: Bool, model name: String) throws(PetalsError) {
        guard try model(named: name) != nil else { throw Self.missing(name) }
        try write { database in
            let sql =
                isPinned
                ? "INSERT OR IGNORE INTO pins (name) VALUES (?)" : "DELETE FROM pins WHERE name = ?"
            try database.execute(sql: sql, arguments: [name])
        }
    }

    /// Takes the mark from pinned shards of blobs that no pinned model uses.
    ///
    /// - Returns: the shards, by blob, which are cached from now on.
    func releasePins() throws(PetalsError) -> [(blob: BlobID, shards: [ShardIndex])] {
        let rows = try write { database in
            let unused = """
                class = 'pinned' AND blob_id NOT IN
                (SELECT blob_id FROM model_blobs JOIN pins USING (name))
                """
            let rows = try Row.fetchAll(
                database, sql: "SELECT blob_id, shard FROM shards WHERE \(unused)"
            ).map { row in (row["blob_id"] as Data, row["shard"] as Int) }
            if !rows.isEmpty { try database.execute(sql: "DELETE FROM shards WHERE \(unused)") }
            return rows
        }
        var shards: [BlobID: [ShardIndex]] = [:]
        for (blob, shard) in rows {
            guard let id = Digest(blob) else { continue }
            shards[id, default: []].append(ShardIndex(shard))
        }
        return shards.sorted { $0.key < $1.key }.map { (blob: $0.key, shards: $0.value) }
    }
}
