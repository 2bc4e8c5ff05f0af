internal import NIOCore
internal import PetalsCore
internal import ShardFetch

extension Stage {
    /// What goes over a connection, without the connection.
    static let wire = [
        Stage(
            "encode-frame", "16 leaves of an array into a frame", .bytes(Limits.cellBytes),
            counted: 500, run: encodeFrame),
        Stage(
            "assemble-frame", "a frame of 16 leaves from 16 KiB portions",
            .bytes(Limits.cellBytes), counted: 500, run: assembleFrame),
        Stage(
            "encode-control", "a request for a cell into a frame", .items("message", 1),
            counted: 5000, run: encodeControl),
        Stage(
            "parse-control", "a request for a cell from its bytes", .items("message", 1),
            counted: 5000, run: parseControl),
    ]

    /// Bytes of what TLS delivers at a time: one record, decrypted (RFC 8446, section 5.1).
    private static let portionBytes = 1 << 14

    private static let header = DataHeader(
        request: 7, leaves: 0..<Limits.leavesPerCell, proofCount: 0)

    private static func encodeFrame(_ meter: Meter) throws {
        let leaves = Samples.noise(Limits.cellBytes)
        try meter.measure {
            let frame = FrameEncoder.data(header, proof: [], leaves: leaves[...])
            try require(frame.readableBytes > Limits.cellBytes, "the frame is too short")
        }
    }

    private static func assembleFrame(_ meter: Meter) throws {
        let leaves = Samples.noise(Limits.cellBytes)
        var frame = FrameEncoder.data(header, proof: [], leaves: leaves[...])
        var portions: [ByteBuffer] = []
        while let bytes = frame.readBytes(length: min(portionBytes, frame.readableBytes)),
            !bytes.isEmpty
        {
            portions.append(ByteBuffer(bytes: bytes))
        }
        var assembler = FrameAssembler()
        try meter.measure {
            var count = 0
            for var portion in portions {
                while case .data(_, _, let leaves) = try assembler.next(from: &portion) {
                    count += leaves.count
                }
            }
            try require(count == Limits.cellBytes, "the frame did not come back")
        }
    }

    private static func request() throws(PetalsError) -> ControlMessage {
        let topic = try require(Topic(Samples.noise(Topic.byteCount)), "a topic has another length")
        return .request(
            .init(
                request: 70_000, topic: topic,
                address: CellAddress(shard: ShardIndex(5), cell: CellIndex(300)),
                leaves: 0..<Limits.leavesPerCell, bulk: true))
    }

    private static func encodeControl(_ meter: Meter) throws {
        let message = try request()
        try meter.measure {
            let frame = FrameEncoder.control(message)
            try require(frame.readableBytes > Topic.byteCount, "the frame is too short")
        }
    }

    private static func parseControl(_ meter: Meter) throws {
        let message = try request()
        let bytes = message.serialized()
        try meter.measure {
            try require(try ControlMessage(parsing: bytes) == message, "another message came back")
        }
    }
}
