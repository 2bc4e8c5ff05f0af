internal import PetalsCodec
internal import PetalsCore

extension Stage {
    /// A frame to and from its stored form.
    static let frameCoder = [
        Stage(
            "lz4-encode", "a frame of text, compressed", .bytes(Limits.frameBytes), counted: 10
        ) { try encode(Samples.text(), .lz4, $0) },
        Stage(
            "lz4-decode", "a frame of text, decompressed", .bytes(Limits.frameBytes), counted: 50
        ) { try decode(Samples.text(), .lz4, $0) },
        Stage(
            "bitshuffle-encode", "a frame of bfloat16 weights, compressed",
            .bytes(Limits.frameBytes), counted: 20
        ) { try encode(Samples.weights(), .bitshuffle2, $0) },
        Stage(
            "bitshuffle-decode", "a frame of bfloat16 weights, decompressed",
            .bytes(Limits.frameBytes), counted: 50
        ) { try decode(Samples.weights(), .bitshuffle2, $0) },
    ]

    private static func encode(_ frame: [UInt8], _ codec: FrameCodec, _ meter: Meter) throws {
        try meter.measure {
            let stored = FrameCoder.encode(frame, codec: codec)
            try require(stored.count < frame.count, "the frame did not get smaller")
        }
    }

    private static func decode(_ frame: [UInt8], _ codec: FrameCodec, _ meter: Meter) throws {
        let stored = FrameCoder.encode(frame, codec: codec)
        try require(stored.count < frame.count, "the frame did not get smaller")
        try meter.measure {
            // SAFETY: a `UInt8` has no padding.
            let plain = try unsafe FrameCoder.decode(
                stored: stored.span.bytes, codec: codec, plainLength: frame.count)
            try require(plain.count == frame.count, "the frame did not come back")
        }
    }
}
