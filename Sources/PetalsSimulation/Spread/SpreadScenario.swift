package import PetalsCore
package import ShardFetch

/// What is asked of a swarm in which a model becomes wanted that one node has.
package struct SpreadScenario: Sendable {
    /// In which order a node fetches what it wants all of.
    package enum Order: String, Sendable, CaseIterable {
        /// As `WholeOrder` says, which is what petalsfs does.
        case rarestFirst
        /// From the first byte to the last, as a reader of the file would; to compare.
        case inOrder
    }

    /// All nodes of the swarm: as many keep the DHT.
    package var nodes: Int
    /// Those that want the model.
    package var crowd: Int
    /// Part of the crowd that holds a few shards each; the others fetch all data shards.
    package var donorShare = 0.5
    /// Shards that a donor takes.
    package var shardsPerDonor = 4
    /// The crowd comes within so many seconds, at random.
    package var arrivalSeconds: Instant = 300
    package var geometry: BlobGeometry
    package var order = Order.rarestFirst
    /// Whether nodes give each cell once while others wait (`FreshRows`), which petalsfs does.
    package var givesOnce = true
    package var holdSeconds = FreshRows.holdSeconds
    /// Which of the population's lines the publisher has.
    package var publisherLine = 1
    package var population = Population.mixed
    /// Holders that each shard should get.
    package var holdersWanted = 10
    /// Whether the publisher goes as soon as it could.
    package var publisherLeaves = false
    /// When the run ends at the latest.
    package var secondsMax: Instant = 6 * 3600
    package var seed: UInt64

    package init(nodes: Int, crowd: Int, geometry: BlobGeometry, seed: UInt64) {
        self.nodes = nodes
        self.crowd = crowd
        self.geometry = geometry
        self.seed = seed
    }
}

/// What came of it.
package struct SpreadFigures: Sendable, Codable {
    package var nodes = 0
    package var crowd = 0
    package var order = ""
    package var storedBytes = 0
    /// Seconds one copy of the model's data takes on the publisher's uplink.
    package var copySeconds: Double = 0
    /// When every row could be rebuilt from what others than the publisher have; nil: never.
    package var selfSustainingSeconds: Double?
    /// What the publisher had sent by then, in copies of the model's data.
    package var publisherCopies: Double?
    /// When each shard that anybody wants had so many whole holders; nil: never.
    package var holdersSeconds: Double?
    package var holdersWanted = 0
    /// What the publisher had sent at the end, in copies.
    package var publisherCopiesAtEnd: Double = 0
    /// Nodes that have all that they wanted, at the end.
    package var finished = 0
    package var seconds: Double = 0
    /// Control messages a node, without requests for leaves, which follow the bytes.
    package var controlMean: Double = 0
    package var controlMost: Double = 0
    /// Requests for leaves a cell fetched.
    package var requestsPerCell: Double = 0
    /// Requests that were refused as busy.
    package var refusals = 0
    /// Bytes that came for each byte kept.
    package var fetchedPerKept: Double = 0
    /// Bytes sent, as part of what the uplink could have carried: by kind of line.
    package var load: [String: Double] = [:]
    package var events: UInt64 = 0

    package init() {}
}
