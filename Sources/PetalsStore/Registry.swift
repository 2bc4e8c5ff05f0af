internal import Foundation
internal import GRDB
internal import Glibc
package import Logging
package import PetalsCore

/// What the node has been told to know: models, their blobs, why shards are kept, and sources.
///
/// SQLite with a write-ahead log; a change is on the disk when its call returns. Sealed manifests
/// lie beside it as files, named by their digest. Calls block for the disk, so they belong on the
/// control path.
package final class Registry: Sendable {
    let queue: DatabaseQueue
    let folder: StateFolder
    let logger: Logger

    /// The number in `user_version`: it grows with each migration.
    static let version = 8

    /// Opens the registry of a state folder, and makes or migrates it.
    ///
    /// - Throws: `.unsupportedVersion` when a newer petalsfs made it, `.corrupt` when it is no
    ///   SQLite database, `.noSpace` or `.system` from the disk.
    package init(folder: StateFolder, logger: Logger) throws(PetalsError) {
        self.folder = folder
        self.logger = logger
        // SQLite gives its -wal and -shm files the mode of the database, so this sets all three.
        _ = try DiskFile.create(folder.database, faults: folder.faults)
        var configuration = Configuration()
        configuration.journalMode = .wal
        configuration.label = "petals.registry"
        configuration.prepareDatabase { database in
            try database.execute(sql: "PRAGMA synchronous = FULL")
        }
        let path = folder.database
        queue = try Self.mapping(path) {
            let queue = try DatabaseQueue(path: path, configuration: configuration)
            let found = try queue.read { try Int.fetchOne($0, sql: "PRAGMA user_version") } ?? 0
            guard found <= Self.version else {
                throw PetalsError(
                    .unsupportedVersion,
                    "the registry \(path) was made by a newer petalsfs (its version is \(found), "
                        + "this petalsfs knows \(Self.version)); install the newer one or give "
                        + "another --state")
            }
            try Self.migrator.migrate(queue)
            return queue
        }
    }

    /// Runs a transaction that reads.
    func read<Value>(
        _ body: (Database) throws -> Value
    ) throws(PetalsError) -> Value {
        try Self.mapping(folder.database) { try queue.read(body) }
    }

    /// Runs a transaction that writes: all of it or nothing.
    func write<Value>(
        _ body: (Database) throws -> Value
    ) throws(PetalsError) -> Value {
        try Self.mapping(folder.database) { try queue.write(body) }
    }

    /// Turns the errors of SQLite into sentences.
    private static func mapping<Value>(
        _ path: String, _ body: () throws -> Value
    ) throws(PetalsError) -> Value {
        do {
            return try body()
        } catch let error as PetalsError {
            throw error
        } catch let error as DatabaseError {
            switch error.resultCode {
            case .SQLITE_FULL:
                throw .disk("write", path, ENOSPC)
            case .SQLITE_CORRUPT, .SQLITE_NOTADB:
                throw PetalsError(
                    .corrupt,
                    "the registry \(path) is damaged (\(error.message ?? "unknown")); move it away "
                        + "and add or publish the models again")
            default:
                throw PetalsError(
                    .system,
                    "the registry \(path) cannot be used: \(error.message ?? "SQLite error") "
                        + "(\(error.resultCode.rawValue)); check the disk and who owns the file")
            }
        } catch {
            throw PetalsError(
                .system, "the registry \(path) cannot be used: \(error.localizedDescription)")
        }
    }

    /// The steps from an empty database to the newest version; a step never changes once released.
    private static let steps = [
        """
        CREATE TABLE models (
            name TEXT PRIMARY KEY NOT NULL, manifest_id BLOB NOT NULL,
            capability TEXT NOT NULL CHECK (capability IN ('read', 'relay')),
            key BLOB NOT NULL,
            origin TEXT NOT NULL CHECK (origin IN ('published', 'added', 'held')),
            added_at INTEGER NOT NULL, shards TEXT) STRICT, WITHOUT ROWID;
        CREATE TABLE blobs (
            blob_id BLOB PRIMARY KEY NOT NULL, relay_key BLOB NOT NULL,
            descriptor BLOB) STRICT;
        CREATE TABLE model_blobs (
            name TEXT NOT NULL REFERENCES models ON DELETE CASCADE ON UPDATE CASCADE,
            blob_id BLOB NOT NULL REFERENCES blobs ON DELETE CASCADE,
            PRIMARY KEY (name, blob_id)) STRICT, WITHOUT ROWID;
        CREATE INDEX model_blobs_blob ON model_blobs (blob_id);
        CREATE TABLE shards (
            blob_id BLOB NOT NULL REFERENCES blobs ON DELETE CASCADE,
            shard INTEGER NOT NULL,
            class TEXT NOT NULL CHECK (class IN ('seeded', 'held', 'pinned')),
            PRIMARY KEY (blob_id, shard)) STRICT, WITHOUT ROWID;
        CREATE TABLE sources (
            blob_id BLOB PRIMARY KEY NOT NULL REFERENCES blobs ON DELETE CASCADE,
            path TEXT NOT NULL, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,
            ctime_ns INTEGER NOT NULL, inode INTEGER NOT NULL, record BLOB NOT NULL,
            stale INTEGER NOT NULL DEFAULT 0) STRICT;
        PRAGMA user_version = 1;
        """,
        """
        CREATE TABLE pins (
            name TEXT PRIMARY KEY NOT NULL
            REFERENCES models ON DELETE CASCADE ON UPDATE CASCADE)
            STRICT, WITHOUT ROWID;
        PRAGMA user_version = 2;
        """,
        """
        ALTER TABLE models ADD COLUMN found TEXT
            CHECK (found IN ('unchecked', 'checked', 'mismatch'));
        PRAGMA user_version = 3;
        """,
        """
        CREATE TABLE peers (
            host TEXT NOT NULL,
            port INTEGER NOT NULL CHECK (port BETWEEN 1 AND 65535),
            proven_at INTEGER NOT NULL, PRIMARY KEY (host, port))
            STRICT, WITHOUT ROWID;
        PRAGMA user_version = 4;
        """,
        """
        CREATE TABLE catalogues (
            owner BLOB PRIMARY KEY NOT NULL, own INTEGER NOT NULL, followed INTEGER NOT NULL,
            name TEXT NOT NULL, peers TEXT NOT NULL, delegation BLOB,
            head BLOB, log BLOB, heard_at INTEGER, added_at INTEGER NOT NULL) STRICT;
        CREATE TABLE catalogue_evidence (
            owner BLOB NOT NULL REFERENCES catalogues ON DELETE CASCADE,
            known BLOB NOT NULL, offered BLOB NOT NULL, log BLOB, seen_at INTEGER NOT NULL,
            PRIMARY KEY (owner, offered)) STRICT;
        CREATE TABLE catalogue_models (
            name TEXT PRIMARY KEY NOT NULL
            REFERENCES models ON DELETE CASCADE ON UPDATE CASCADE,
            owner BLOB NOT NULL, retired INTEGER NOT NULL DEFAULT 0) STRICT, WITHOUT ROWID;
        PRAGMA user_version = 5;
        """,
        """
        CREATE TABLE donations (
            blob_id BLOB NOT NULL REFERENCES blobs ON DELETE CASCADE,
            shard INTEGER NOT NULL, PRIMARY KEY (blob_id, shard))
            STRICT, WITHOUT ROWID;
        PRAGMA user_version = 6;
        """,
        """
        CREATE TABLE donated_models (
            name TEXT PRIMARY KEY NOT NULL
            REFERENCES models ON DELETE CASCADE ON UPDATE CASCADE)
            STRICT, WITHOUT ROWID;
        PRAGMA user_version = 7;
        """,
        """
        CREATE TABLE credit_books (
            id INTEGER PRIMARY KEY NOT NULL CHECK (id = 0), epoch INTEGER NOT NULL) STRICT;
        CREATE TABLE credit_peers (
            peer BLOB PRIMARY KEY NOT NULL, account BLOB NOT NULL) STRICT;
        CREATE TABLE credit_evidence (
            peer BLOB PRIMARY KEY NOT NULL, first BLOB NOT NULL, second BLOB NOT NULL,
            seen_at INTEGER NOT NULL) STRICT;
        CREATE TABLE credit_blobs (
            blob_id BLOB PRIMARY KEY NOT NULL, given_bytes INTEGER NOT NULL,
            given INTEGER NOT NULL, received_bytes INTEGER NOT NULL,
            received INTEGER NOT NULL) STRICT, WITHOUT ROWID;
        PRAGMA user_version = 8;
        """,
    ]

    private static var migrator: DatabaseMigrator {
        var migrator = DatabaseMigrator()
        for (number, sql) in steps.enumerated() {
            migrator.registerMigration("\(number + 1)") { try $0.execute(sql: sql) }
        }
        return migrator
    }
}
