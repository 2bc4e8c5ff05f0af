package import PetalsCore
package import ShardFetch

/// What is asked of donors that keep models while nodes come and go.
package struct KeepingScenario: Sendable {
    /// Catalogues, each followed by donors of its own.
    ///
    /// A donor is connected with at most 64 peers that it found (`Limits.discoveredPeersMax`), and
    /// knows of no others; so those who follow one catalogue are a swarm of their own, and a larger
    /// swarm is more of them.
    package var catalogues: Int
    /// Donors of each catalogue.
    package var donors: Int
    /// Models of each catalogue, all of one group.
    package var models: Int
    package var geometry: BlobGeometry
    /// Quotas of all donors together, in copies of the data: n/k is each shard once.
    package var redundancy = 1.5
    package var population = Population.mixed
    package var sessions = Population.Sessions(halfLife: 1800, availability: 0.8)
    /// Mean seconds after which a donor goes for good and another one comes; nil: never.
    package var lifetimeMean: Instant?
    /// When the publishers go, before anything is counted.
    package var publishersLeaveAt: Instant = 3600
    /// When counting begins.
    package var countsFrom: Instant = 5400
    package var end: Instant = 5 * 3600
    package var rules = DonationPlan.Rules()
    package var seed: UInt64

    package init(
        catalogues: Int, donors: Int = 59, models: Int = 25, geometry: BlobGeometry, seed: UInt64
    ) {
        self.catalogues = catalogues
        self.donors = donors
        self.models = models
        self.geometry = geometry
        self.seed = seed
    }

    /// All donors.
    package var nodes: Int { catalogues * donors }
    /// All shards.
    package var shards: Int { catalogues * models * geometry.shardCount }
}

/// What came of it.
package struct KeepingFigures: Sendable, Codable {
    package var nodes = 0
    package var shards = 0
    package var redundancy = 0.0
    package var hours = 0.0
    /// Part of the time for which a model could be read, over all models.
    package var readable = 0.0
    /// The same of the model that fared worst.
    package var readableLeast = 0.0
    /// Part of the reads that are served before the mount gives up (S12), and within a minute: of
    /// reads that begin at any moment, of any model.
    ///
    /// nil where not enough time was looked at.
    package var readsInTime: Double?
    package var readsInMinute: Double?
    /// Seconds of the longest time for which a model could not be read; at most 0: none.
    package var outageLongest = 0.0
    /// Shards of which a donor that is there has a copy, as part of k, at the mean.
    package var redundancyThere = 0.0
    /// Bytes sent for repair, as part of what uplinks could have carried meanwhile.
    package var repairShare = 0.0
    /// The same of the uplinks of the slowest kind.
    package var repairShareSlowest = 0.0
    package var repairBytesPerNodeHour = 0.0
    package var fetched = 0
    package var rebuilt = 0
    package var failed = 0
    package var dropped = 0
    /// Messages of donors a node and hour: claims, pledges, rooms, checks.
    package var controlPerNodeHour = 0.0
    /// Part of all quotas in use at the end.
    package var quotaUsed = 0.0
    /// Seconds until each shard had a copy at a donor; nil: never.
    package var placedSeconds: Double?
    /// Shards that no donor has, there or away, and those that several have: the second take the
    /// room that the first lack.
    package var missing = 0
    package var several = 0
    /// Models of which fewer than k shards are left anywhere, there or away.
    package var lost = 0
    package var events: UInt64 = 0

    package init() {}
}
