internal import GRDB
package import PetalsCore

/// The addresses of peers that gave verified leaves: whom to try first after a restart.
extension Registry {
    /// How many addresses are kept.
    package static let peersMax = 200
    /// Seconds after which an address is forgotten that has given nothing any more: 14 days.
    package static let peerSecondsMax = 14 * 86_400

    /// Keeps the addresses of peers that gave verified leaves at a time, in seconds since 1970.
    ///
    /// The newest `peersMax` of all stay; what is too old goes.
    package func remember(
        _ peers: [(host: String, port: Int)], now: Int
    ) throws(PetalsError) {
        try write { database in
            for (host, port) in peers {
                try database.execute(
                    sql: "INSERT OR REPLACE INTO peers (host, port, proven_at) VALUES (?, ?, ?)",
                    arguments: [host, port, now])
            }
            try database.execute(
                sql: """
                    DELETE FROM peers WHERE proven_at < ? OR (host, port) NOT IN
                    (SELECT host, port FROM peers ORDER BY proven_at DESC, host, port LIMIT ?)
                    """, arguments: [now - Self.peerSecondsMax, Self.peersMax])
        }
    }

    /// The addresses that are remembered, the newest first.
    package func rememberedPeers(now: Int) throws(PetalsError) -> [(host: String, port: Int)] {
        try read { database in
            try Row.fetchAll(
                database,
                sql: """
                    SELECT host, port FROM peers WHERE proven_at BETWEEN ? AND ?
                    ORDER BY proven_at DESC, host, port LIMIT ?
                    """,
                // A clock that was wrong for a while must not keep an address for ever.
                arguments: [now - Self.peerSecondsMax, now + 86_400, Self.peersMax]
            ).map { row in (row["host"] as String, row["port"] as Int) }
        }
    }
}
