internal import PetalsCore
internal import ShardFetch

/// The ways to find peers that a node has besides the local network.
///
/// The distributed hash table joins here. Until it is part of the program, its options are checked
/// and change nothing.
enum PeerSources {
    /// Makes those that the command line asks for.
    ///
    /// - Throws: `PetalsError.badInput` for an address that is none.
    static func make(
        dht: Bool, bootstrap: [String]
    ) throws(PetalsError) -> [(origin: PeerOrigin, source: any PeerSource)] {
        for address in bootstrap { _ = try SocketEndpoint(parsing: address) }
        return []
    }
}
