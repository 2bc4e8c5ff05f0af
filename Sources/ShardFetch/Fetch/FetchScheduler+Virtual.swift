package import PetalsCore

// What it takes to drive a scheduler from outside of this room: connections and sessions, which
// name peers and shards elsewhere, do not exist in virtual time.

extension PeerConnection.ID {
    /// Names a peer of a swarm in virtual time.
    package init(virtual number: Int) {
        self.init(rawValue: number)
    }

    /// The number that it was made of.
    package var virtualNumber: Int { rawValue }
}

extension FetchScheduler.ShardKey {
    /// Names a shard of a blob that `FetchScheduler.add` has made known.
    package init(_ blob: FetchScheduler.BlobHandle, _ shard: ShardIndex) {
        self.init(blob: blob, shard: shard)
    }
}
