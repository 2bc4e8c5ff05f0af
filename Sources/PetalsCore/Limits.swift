/// Every limit of the program, in one place, with the arithmetic that made it.
///
/// A limit on something from outside is checked before anything is allocated for it.
/// `checkRelations()` runs once at start and in the tests: the numbers depend on each other.
package enum Limits {
    // MARK: Format (docs/PROTOCOL.md; a change is a new format version)

    /// Plaintext per frame, the unit of compression.
    package static let frameBytes = 256 << 10
    /// A cell, the unit of striping.
    package static let cellBytes = 256 << 10
    /// A leaf, the unit of verification and the smallest fetch.
    package static let leafBytes = 16 << 10
    /// Leaves of a whole cell: their presence fits one 16-bit mask.
    package static let leavesPerCell = cellBytes / leafBytes
    /// Rows of a group: 762 cells of 256 KiB are the most that stay within 200 MB a shard.
    package static let rowsPerGroupMax = 762
    /// Data shards of a group.
    package static let dataShardsMax = 32
    /// Shards of a group.
    ///
    /// GF(2^8) with a Cauchy matrix allows 256; nobody can place so many.
    package static let groupShardsMax = 64
    /// Bytes of one blob: 16 TiB, so that sums of a few offsets stay far from `Int.max`.
    package static let blobBytesMax = 1 << 44
    /// Shards of one blob: 16 TiB / (32 x 200 MB) groups of 64 are under this.
    package static let shardsPerBlobMax = 1 << 18

    // MARK: Documents

    /// A sealed manifest.
    package static let manifestBytesMax = 16 << 20
    /// A sealed descriptor: 32 bytes a shard for `shardsPerBlobMax`, and change.
    package static let descriptorBytesMax = 9 << 20
    /// A file record on its own.
    ///
    /// Half a manifest, since it becomes part of one; frame lengths are the most of it, and
    /// publishers keep those of one file within a quarter.
    package static let recordBytesMax = manifestBytesMax / 2
    /// Files of a model.
    package static let filesMax = 100_000
    /// All names of a model together.
    package static let nameBytesTotalMax = 4 << 20
    /// One path component, as in most file systems.
    package static let nameBytesMax = 255
    /// Tags of a model.
    package static let tagsMax = 64
    /// Directories above a file.
    package static let depthMax = 32
    /// A file below this is stored in the manifest itself.
    package static let inlineBytesMax = (64 << 10) - 1
    /// Inlined bytes of a model; small files beyond become blobs, so that a manifest stays small.
    package static let inlineBytesTotalMax = 8 << 20

    /// Records of a catalogue's log, those of withdrawn entries included.
    package static let catalogueRecordsMax = 10_000
    /// One record: eight texts of 255 bytes, keys, and some tags.
    package static let catalogueRecordBytesMax = 4096
    /// A catalogue's log.
    package static let catalogueLogBytesMax = 16 << 20
    /// A signed head with its delegation: it has to fit an item of the DHT (BEP 44).
    package static let catalogueHeadBytesMax = 1000
    /// A text of a catalogue.
    package static let catalogueTextBytesMax = 255
    /// Catalogues that a node follows or owns, and that it tells one peer of.
    package static let cataloguesMax = 64

    // MARK: Wire

    /// A frame on the wire, without its length field (libtorrent allows 1025 KiB).
    package static let wireFrameBytesMax = (1 << 20) + (1 << 10)
    /// A control message.
    package static let controlBytesMax = 64 << 10
    /// Document bytes of one frame.
    package static let documentChunkBytesMax = 1 << 20
    /// Leaves of one bulk frame on a slow line: 64 KiB, so that a demand read waits for no more.
    ///
    /// On a fast line a frame is as large as leaves in 20 ms (`DrainRate`).
    package static let bulkFrameLeavesMax = 4
    /// Requests of one peer that may wait for an answer.
    package static let requestsPerPeerMax = 256
    /// Bytes that one peer may have asked for and not yet received.
    package static let requestedBytesPerPeerMax = 16 << 20
    /// Topics that one peer may have joined.
    package static let topicsPerPeerMax = 64
    /// Shards of one topic in one message about what a peer keeps: 5 bytes each fit it.
    package static let pledgedShardsMax = 4096
    /// Connected peers.
    package static let peersMax = 200
    /// Connected peers of one IPv4 /24 or IPv6 /48, loopback excepted.
    package static let peersPerNetworkMax = 8
    /// Connections of one address that have not finished their handshake.
    package static let halfOpenPerAddressMax = 4
    /// Time for TLS and Hello together.
    package static let handshakeSecondsMax: Int64 = 5
    /// A peer's certificate.
    package static let certificateBytesMax = 16 << 10
    /// Control messages a second of one peer, with a burst of twice that.
    package static let controlPerSecondMax = 50.0
    /// Data requests a second of one peer: 256 KiB each is 1 GB/s, more than a core can encrypt.
    package static let requestsPerSecondMax = 4096.0
    /// Receipts a second of one peer: more come only where a window is small and the line is fast.
    ///
    /// To check one takes 60 us, so this is an eighth of a core at most.
    package static let receiptsPerSecondMax = 2048.0
    /// Dials that may begin in any second, whoever named the addresses.
    package static let dialsPerSecondMax = 3
    /// Dials without a connection yet: at three a second, each over after 10 seconds at most.
    package static let dialsUnderWayMax = 32
    /// Connections to addresses that no person named; the rest is for given and incoming ones.
    package static let discoveredPeersMax = 64
    /// Topics that a node announces: each costs the DHT a lookup every half hour.
    package static let announcedTopicsMax = 512
    /// Peers that one message of peer exchange tells of.
    package static let exchangedPeersMax = 50
    /// Topics of each of them.
    package static let exchangedTopicsMax = 8
    /// Addresses that a person may name: with `--peer`, and with the links of many models.
    package static let givenPeersMax = 1024
    /// The longest text that a peer can make us log.
    package static let peerTextBytesMax = 128

    // MARK: Credit

    /// A number in a statement about credit: 2^60 bytes are a million TiB, and sums of a few fit.
    package static let creditNumberMax = 1 << 60
    /// How long an assignment may wait before it is used.
    package static let assignmentSecondsMax = 120

    // MARK: Memory and waiting

    /// How long an interrupted publication keeps what it has sealed: a week.
    package static let draftSecondsMax = 7 * 86_400

    /// Read-ahead of one stream, where the memory budget allows it.
    package static let readAheadBytesMax = 64 << 20
    /// Streams recognised in one inode: 16 threads reading one file is the normal case.
    package static let streamsPerFileMax = 32
    /// The largest read that the kernel sends us.
    package static let kernelReadBytesMax = 1 << 20

    /// Asserts what the numbers above promise each other.
    package static func checkRelations() {
        precondition(frameBytes == cellBytes, "a raw frame is a cell")
        precondition(cellBytes % leafBytes == 0 && leavesPerCell == 16, "a mask has 16 bits")
        precondition(leafBytes % 64 == 0, "a leaf starts at a ChaCha20 block")
        precondition(rowsPerGroupMax * cellBytes <= 200_000_000, "a shard stays within 200 MB")
        precondition(dataShardsMax < groupShardsMax && groupShardsMax < 256, "GF(2^8)")
        precondition(
            cellBytes + 1024 <= wireFrameBytesMax, "a cell with its proof fits one frame")
        precondition(documentChunkBytesMax + 64 <= wireFrameBytesMax, "a chunk fits one frame")
        precondition(rowsPerGroupMax * 32 + 64 <= controlBytesMax, "a cell layer fits one frame")
        precondition(inlineBytesTotalMax * 3 / 2 < manifestBytesMax, "inlined files fit")
        precondition(32 * shardsPerBlobMax < descriptorBytesMax, "all shard roots fit")
        precondition(
            cataloguesMax * 24 + catalogueHeadBytesMax < controlBytesMax,
            "catalogues fit one message")
        precondition(catalogueLogBytesMax <= requestedBytesPerPeerMax, "a log can be asked for")
        precondition(
            exchangedPeersMax * (32 + 24 * exchangedTopicsMax) < controlBytesMax,
            "peer exchange fits one message")
        precondition(
            5 * pledgedShardsMax + 64 <= controlBytesMax, "what is kept of a topic fits one message"
        )
        precondition(2 * discoveredPeersMax < peersMax, "others find room beside them")
        precondition(
            dialsUnderWayMax > dialsPerSecondMax * 2 * Int(handshakeSecondsMax),
            "addresses that do not answer do not keep others from being dialled")
    }
}
