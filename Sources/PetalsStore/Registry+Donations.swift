internal import Foundation
internal import GRDB
package import PetalsCore

/// Which of the held shards a donor chose by itself.
///
/// Such shards may go when others need the room more; what a person had this node hold stays.
extension Registry {
    /// The shards that were chosen, by blob.
    package func donations() throws(PetalsError) -> [BlobID: [ShardIndex]] {
        let rows = try read { database in
            try Row.fetchAll(database, sql: "SELECT * FROM donations ORDER BY blob_id, shard")
                .map { row in (row["blob_id"] as Data, row["shard"] as Int) }
        }
        var shards: [BlobID: [ShardIndex]] = [:]
        for (blob, shard) in rows {
            guard let id = Digest(blob) else { continue }
            shards[id, default: []].append(ShardIndex(shard))
        }
        return shards
    }

    /// Says that shards are held because a donor chose them, or are not held any more.
    func setDonated(
        _ isDonated: Bool, _ shards: [ShardIndex], blob: BlobID
    ) throws(PetalsError) {
        try write { database in
            try Self.setClass(isDonated ? .held : .cached, of: shards, blob: blob, database)
            try Self.markDonated(isDonated, shards, blob: blob, database)
        }
    }

    /// Says that shards that a donor may have chosen are held because a person wants it.
    func forgetDonations(_ shards: [ShardIndex], blob: BlobID) throws(PetalsError) {
        try write { try Self.markDonated(false, shards, blob: blob, $0) }
    }

    private static func markDonated(
        _ isDonated: Bool, _ shards: [ShardIndex], blob: BlobID, _ database: Database
    ) throws {
        let sql =
            isDonated
            ? "INSERT OR IGNORE INTO donations (blob_id, shard) VALUES (?, ?)"
            : "DELETE FROM donations WHERE blob_id = ? AND shard = ?"
        for shard in shards {
            try database.execute(sql: sql, arguments: [Data(blob.bytes), shard.rawValue])
        }
    }
}
