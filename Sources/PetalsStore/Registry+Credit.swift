internal import Foundation
internal import GRDB
package import PetalsCore

/// The books of credit: one row a peer, with its newest receipt and what this node owes it.
///
/// The books are changed in memory and kept by whole transactions, so that SQLite's log is their
/// journal: after a crash they are as they were when something was kept last, never half of it.
extension Registry {
    /// Blobs of which the sums are kept; those of which least went either way are forgotten.
    package static let creditBlobsMax = 4096

    /// The books as they were kept last.
    package struct CreditBooks: Sendable {
        /// Another one for each new set of books.
        package let epoch: UInt32
        package let rows: [CreditRow]
    }

    /// Takes up the books, or begins them.
    ///
    /// - Parameter now: seconds since 1970; the epoch of books that begin now, so that no earlier
    ///   ones of the same identity had it.
    package func openCredit(now: Int) throws(PetalsError) -> CreditBooks {
        try write { database in
            try database.execute(
                sql: "INSERT OR IGNORE INTO credit_books (id, epoch) VALUES (0, ?)",
                arguments: [UInt32(clamping: now)])
            let epoch = try Int.fetchOne(database, sql: "SELECT epoch FROM credit_books") ?? 0
            let rows = try Row.fetchAll(database, sql: "SELECT * FROM credit_peers ORDER BY peer")
            return CreditBooks(
                epoch: UInt32(clamping: epoch),
                rows: rows.compactMap { row in
                    Digest(row["peer"] as Data).map {
                        CreditRow(peer: $0, account: Array(row["account"] as Data))
                    }
                })
        }
    }

    /// Keeps what has changed.
    package func keepCredit(_ change: CreditChange) throws(PetalsError) {
        guard !change.isEmpty else { return }
        if case .fail(let code)? = folder.faults?.on(.write, folder.database, change.rows.count) {
            throw .disk("write", folder.database, code)
        }
        try write { database in
            for peer in change.closed {
                try database.execute(
                    sql: "DELETE FROM credit_peers WHERE peer = ?", arguments: [Data(peer.bytes)])
            }
            for row in change.rows {
                try database.execute(
                    sql: "INSERT OR REPLACE INTO credit_peers (peer, account) VALUES (?, ?)",
                    arguments: [Data(row.peer.bytes), Data(row.account)])
            }
            for evidence in change.evidence {
                try database.execute(
                    sql: """
                        INSERT OR IGNORE INTO credit_evidence (peer, first, second, seen_at)
                        VALUES (?, ?, ?, ?)
                        """,
                    arguments: [
                        Data(evidence.first.statement.debtor.bytes),
                        Data(evidence.first.serialized()), Data(evidence.second.serialized()),
                        evidence.seenAt,
                    ])
            }
            try Self.add(change.blobs, database)
        }
        if case .fail(let code)? = folder.faults?.on(.sync, folder.database, change.rows.count) {
            throw .disk("sync", folder.database, code)
        }
    }

    /// What went out and came in of each blob, the most first.
    package func creditBlobs() throws(PetalsError) -> [CreditBlobRow] {
        try read { database in
            try Row.fetchAll(
                database,
                sql: "SELECT * FROM credit_blobs ORDER BY given + received DESC, blob_id"
            ).compactMap { row in
                guard let id = Digest(row["blob_id"] as Data) else { return nil }
                var blob = CreditBlobRow(blob: id)
                blob.givenBytes = row["given_bytes"]
                blob.given = Mills(row["given"])
                blob.receivedBytes = row["received_bytes"]
                blob.received = Mills(row["received"])
                return blob
            }
        }
    }

    /// Receipts by which a peer contradicts itself.
    package func creditEvidence() throws(PetalsError) -> [CreditEvidence] {
        let rows = try read { database in
            try Row.fetchAll(database, sql: "SELECT * FROM credit_evidence ORDER BY peer").map {
                (Array($0["first"] as Data), Array($0["second"] as Data), $0["seen_at"] as Int)
            }
        }
        var evidence: [CreditEvidence] = []
        for (first, second, seenAt) in rows {
            evidence.append(
                CreditEvidence(
                    first: try SignedReceipt(parsing: first),
                    second: try SignedReceipt(parsing: second), seenAt: seenAt))
        }
        return evidence
    }

    // MARK: Blobs

    private static func add(_ blobs: [CreditBlobRow], _ database: Database) throws {
        guard !blobs.isEmpty else { return }
        for blob in blobs {
            try database.execute(
                sql: """
                    INSERT INTO credit_blobs (blob_id, given_bytes, given, received_bytes, received)
                    VALUES (?, ?, ?, ?, ?) ON CONFLICT (blob_id) DO UPDATE SET
                    given_bytes = given_bytes + excluded.given_bytes,
                    given = given + excluded.given,
                    received_bytes = received_bytes + excluded.received_bytes,
                    received = received + excluded.received
                    """,
                arguments: [
                    Data(blob.blob.bytes), blob.givenBytes, blob.given.rawValue,
                    blob.receivedBytes, blob.received.rawValue,
                ])
        }
        let count = try Int.fetchOne(database, sql: "SELECT COUNT(*) FROM credit_blobs") ?? 0
        guard count > creditBlobsMax else { return }
        try database.execute(
            sql: """
                DELETE FROM credit_blobs WHERE blob_id IN (SELECT blob_id FROM credit_blobs
                ORDER BY given + received, blob_id LIMIT ?)
                """, arguments: [count - creditBlobsMax])
    }
}
