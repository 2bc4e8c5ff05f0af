internal import Foundation
internal import GRDB
package import PetalsCore

extension Registry {
    // MARK: Blobs

    /// All blobs, by id.
    package func blobs() throws(PetalsError) -> [BlobRow] {
        try read { database in
            try Row.fetchAll(database, sql: "SELECT * FROM blobs ORDER BY blob_id").map(Self.blob)
        }
    }

    /// The blobs that a model is known to consist of, by id.
    package func blobs(ofModel name: String) throws(PetalsError) -> [BlobRow] {
        try read { database in
            try Row.fetchAll(
                database,
                sql: """
                    SELECT * FROM blobs WHERE blob_id IN
                    (SELECT blob_id FROM model_blobs WHERE name = ?) ORDER BY blob_id
                    """, arguments: [name]
            ).map(Self.blob)
        }
    }

    /// The row of a blob.
    package func blob(_ id: BlobID) throws(PetalsError) -> BlobRow? {
        try read { database in
            try Row.fetchOne(
                database, sql: "SELECT * FROM blobs WHERE blob_id = ?",
                arguments: [Data(id.bytes)]
            ).map(Self.blob)
        }
    }

    /// Adds a blob, or its descriptor to a blob that had none.
    func insert(_ blob: BlobRow) throws(PetalsError) {
        try write { try Self.upsert(blob, $0) }
    }

    /// Forgets blobs and all that is said of them.
    func removeBlobs(_ ids: [BlobID]) throws(PetalsError) {
        try write { database in
            for id in ids {
                try database.execute(
                    sql: "DELETE FROM blobs WHERE blob_id = ?", arguments: [Data(id.bytes)])
            }
        }
    }

    /// Enters a blob that was just published with its source, all of its shards seeded.
    ///
    /// No model uses it yet: that is for `publish` to say.
    func adopt(
        _ blob: BlobRow, source: SourceRow, shards: [ShardIndex]
    ) throws(PetalsError) {
        try write { database in
            try Self.upsert(blob, database)
            try Self.upsert(source, database)
            try Self.setClass(.seeded, of: shards, blob: blob.blobID, database)
        }
    }

    /// The blobs that some model uses.
    func usedBlobs() throws(PetalsError) -> Set<BlobID> {
        try read { database in
            Set(
                try Data.fetchAll(database, sql: "SELECT DISTINCT blob_id FROM model_blobs")
                    .compactMap { Digest($0) })
        }
    }

    /// Forgets the blobs that no model uses and of which no shard is held.
    ///
    /// - Parameter spared: blobs to keep all the same.
    func removeOrphans(sparing spared: Set<BlobID> = []) throws(PetalsError) {
        try write { database in
            let orphans = try Data.fetchAll(
                database,
                sql: """
                    SELECT blob_id FROM blobs WHERE blob_id NOT IN
                    (SELECT blob_id FROM model_blobs)
                    AND blob_id NOT IN (SELECT blob_id FROM shards WHERE class = 'held')
                    """)
            for orphan in orphans {
                if let id = Digest(orphan), spared.contains(id) { continue }
                try database.execute(
                    sql: "DELETE FROM blobs WHERE blob_id = ?", arguments: [orphan])
            }
        }
    }

    static func upsert(_ blob: BlobRow, _ database: Database) throws {
        try database.execute(
            sql: """
                INSERT INTO blobs (blob_id, relay_key, descriptor) VALUES (?, ?, ?)
                ON CONFLICT (blob_id) DO UPDATE SET
                descriptor = COALESCE(descriptor, excluded.descriptor)
                """,
            arguments: [
                Data(blob.blobID.bytes), Data(blob.relayKey.bytes),
                blob.descriptor.map { Data($0) },
            ])
    }

    private static func blob(_ row: Row) throws -> BlobRow {
        let id: Data = row["blob_id"]
        let key: Data = row["relay_key"]
        let descriptor: Data? = row["descriptor"]
        guard let id = Digest(id), let key = SecretKey(key) else {
            throw PetalsError(
                .corrupt,
                "the registry's row of a blob is damaged; move the registry away and add or "
                    + "publish the models again")
        }
        return BlobRow(blobID: id, relayKey: key, descriptor: descriptor.map { Array($0) })
    }

    // MARK: Classes of shards

    /// Why shards of a blob are kept; a shard that is not named is cached.
    package func classes(of blob: BlobID) throws(PetalsError) -> [ShardIndex: ShardClass] {
        let rows = try read { database in
            try Row.fetchAll(
                database, sql: "SELECT shard, class FROM shards WHERE blob_id = ?",
                arguments: [Data(blob.bytes)]
            ).map { row in (row["shard"] as Int, row["class"] as String) }
        }
        var classes: [ShardIndex: ShardClass] = [:]
        for (shard, name) in rows {
            classes[ShardIndex(shard)] = ShardClass(rawValue: name)
        }
        return classes
    }

    /// Says why shards of a blob are kept; `.cached` takes the mark away.
    func setClass(
        _ shardClass: ShardClass, of shards: [ShardIndex], blob: BlobID
    ) throws(PetalsError) {
        try write { try Self.setClass(shardClass, of: shards, blob: blob, $0) }
    }

    static func setClass(
        _ shardClass: ShardClass, of shards: [ShardIndex], blob: BlobID, _ database: Database
    ) throws {
        for shard in shards {
            let key: StatementArguments = [Data(blob.bytes), shard.rawValue]
            if shardClass == .cached {
                try database.execute(
                    sql: "DELETE FROM shards WHERE blob_id = ? AND shard = ?", arguments: key)
            } else {
                try database.execute(
                    sql: "INSERT OR REPLACE INTO shards (blob_id, shard, class) VALUES (?,?,?)",
                    arguments: key + [shardClass.rawValue])
            }
        }
    }

    // MARK: Sources

    /// The published files that are served where they lie, those that went stale included.
    package func sources() throws(PetalsError) -> [SourceRow] {
        try read { database in
            try Row.fetchAll(database, sql: "SELECT * FROM sources ORDER BY blob_id")
                .map(Self.source)
        }
    }

    /// The published file that a blob was made from.
    package func source(of blob: BlobID) throws(PetalsError) -> SourceRow? {
        try read { database in
            try Row.fetchOne(
                database, sql: "SELECT * FROM sources WHERE blob_id = ?",
                arguments: [Data(blob.bytes)]
            ).map(Self.source)
        }
    }

    /// The published files of models that are not served any more, by path.
    package func staleSources() throws(PetalsError) -> [StaleSource] {
        try read { database in
            let rows = try Row.fetchAll(
                database,
                sql: """
                    SELECT blob_id, path, stale FROM sources WHERE stale != 0
                    AND blob_id IN (SELECT blob_id FROM model_blobs) ORDER BY path
                    """)
            return rows.compactMap { row in
                let id: Data = row["blob_id"]
                return Digest(id).map {
                    StaleSource(blobID: $0, path: row["path"], state: Self.state(row))
                }
            }
        }
    }

    /// Marks a source as changed since it was published; it is not asked again.
    ///
    /// Another file that was published in its place meanwhile is not meant.
    func markStale(_ source: SourceRow, as state: SourceState) throws(PetalsError) {
        try write { database in
            try database.execute(
                sql: """
                    UPDATE sources SET stale = ?
                    WHERE blob_id = ? AND path = ? AND inode = ? AND ctime_ns = ?
                    """,
                arguments: [
                    state.rawValue, Data(source.blobID.bytes), source.path, source.stamp.inode,
                    source.stamp.changed,
                ])
        }
    }

    /// Enters a source, in place of another one that the blob may have had.
    func put(_ source: SourceRow) throws(PetalsError) {
        try write { try Self.upsert(source, $0) }
    }

    static func upsert(_ source: SourceRow, _ database: Database) throws {
        try database.execute(
            sql: """
                INSERT OR REPLACE INTO sources
                (blob_id, path, size, mtime_ns, ctime_ns, inode, record, stale)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?)
                """,
            arguments: [
                Data(source.blobID.bytes), source.path, source.stamp.size, source.stamp.modified,
                source.stamp.changed, source.stamp.inode, Data(source.record.serialized()),
                source.state.rawValue,
            ])
    }

    private static func source(_ row: Row) throws -> SourceRow {
        let id: Data = row["blob_id"]
        let record: Data = row["record"]
        let path: String = row["path"]
        guard let id = Digest(id) else {
            throw PetalsError(
                .corrupt,
                "the registry's row of the published file \(path) is damaged; publish it again")
        }
        return SourceRow(
            blobID: id, path: path,
            stamp: FileStamp(
                size: row["size"], modified: row["mtime_ns"], changed: row["ctime_ns"],
                inode: row["inode"]),
            record: try FileRecord(parsing: Array(record)), state: state(row))
    }

    private static func state(_ row: Row) -> SourceState {
        let number: Int = row["stale"]
        // What a newer petalsfs may say of a file is at least that it is not to be served.
        return SourceState(rawValue: number) ?? .changed
    }
}
