/// Protocol Buffers by hand, as docs/PROTOCOL.md describes the documents.
///
/// Independent of the generated code: what it writes says what the format is, and it can write what
/// no honest program would.
struct ProtobufWriter {
    private(set) var bytes: [UInt8] = []

    init(_ build: (inout ProtobufWriter) -> Void = { _ in }) {
        build(&self)
    }

    /// A field of type uint32, uint64, bool or enum.
    mutating func number(_ field: UInt64, _ value: UInt64) {
        varint(field << 3)
        varint(value)
    }

    /// A field of type bytes, string or message, or packed numbers.
    mutating func data(_ field: UInt64, _ value: some Sequence<UInt8>) {
        let value = Array(value)
        varint(field << 3 | 2)
        varint(UInt64(value.count))
        bytes += value
    }

    /// A nested message.
    mutating func message(_ field: UInt64, _ build: (inout ProtobufWriter) -> Void) {
        data(field, ProtobufWriter(build).bytes)
    }

    private mutating func varint(_ value: UInt64) {
        var rest = value
        while rest >= 128 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 128)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }
}

/// What a hostile sender may make of good bytes.
enum Mutations {
    /// Cut off at every length, one byte flipped in turn in several ways, one byte put in.
    static func each(of bytes: [UInt8], _ body: ([UInt8]) -> Void) {
        for count in 0..<bytes.count { body(Array(bytes[..<count])) }
        for position in bytes.indices {
            for flip in [0x01, 0x80, 0xFF, 0x04] as [UInt8] {
                var changed = bytes
                changed[position] ^= flip
                body(changed)
            }
            var longer = bytes
            longer.insert(0xFF, at: position)
            body(longer)
        }
    }
}
