/// 32 bytes that name something: a SHA-256, a blob id, a manifest id, a peer id.
///
/// Four words instead of an array: no allocation, and comparing is four instructions.
package struct Digest: Hashable, Comparable, Sendable, CustomStringConvertible {
    @usableFromInline let a: UInt64
    @usableFromInline let b: UInt64
    @usableFromInline let c: UInt64
    @usableFromInline let d: UInt64

    /// The number of bytes of a digest.
    package static let byteCount = 32

    /// All zero bits: the mark for "no digest here" in tree files; SHA-256 does not reach it.
    package static let zero = Digest(words: (0, 0, 0, 0))

    /// Builds a digest from its four big-endian words.
    @inlinable
    package init(words: (UInt64, UInt64, UInt64, UInt64)) {
        (a, b, c, d) = words
    }

    /// Builds a digest from exactly 32 bytes; nil for any other number.
    package init?(_ bytes: some Collection<UInt8>) {
        guard bytes.count == Self.byteCount else { return nil }
        // Copied once as a whole: byte by byte, a collection of another module costs thousands of
        // instructions.
        let copy = Array(bytes)
        // SAFETY: bytes seen as bytes, for as long as the copy lives.
        unsafe self.init(copy.span.bytes)
    }

    /// Reads the 32 bytes of `span` from `offset`; nil where it is too short.
    @inlinable
    package init?(_ span: RawSpan, at offset: Int = 0) {
        guard offset >= 0, span.byteCount - offset >= Self.byteCount else { return nil }
        // SAFETY: the guard above proves that all 32 bytes lie inside the span.
        func word(_ index: Int) -> UInt64 {
            UInt64(
                bigEndian: unsafe span.unsafeLoadUnaligned(
                    fromUncheckedByteOffset: offset &+ index &* 8, as: UInt64.self))
        }
        self.init(words: (word(0), word(1), word(2), word(3)))
    }

    /// Reads 64 hexadecimal digits of either case; nil for anything else.
    package init?(hex: some StringProtocol) {
        guard hex.utf8.count == 2 * Self.byteCount else { return nil }
        var bytes: [UInt8] = []
        var high: UInt8?
        for character in hex {
            guard character.isASCII, let value = character.hexDigitValue else { return nil }
            let digit = UInt8(truncatingIfNeeded: value)
            if let first = high {
                bytes.append(first << 4 | digit)
                high = nil
            } else {
                high = digit
            }
        }
        self.init(bytes)
    }

    /// The four big-endian words.
    package var words: (UInt64, UInt64, UInt64, UInt64) { (a, b, c, d) }

    /// The 32 bytes, in order.
    package var bytes: [UInt8] { Self.packed([self]) }

    /// The bytes of digests side by side, as files and frames have them.
    package static func packed(_ digests: [Digest]) -> [UInt8] {
        let count = digests.count * byteCount
        // SAFETY: 32 bytes are written for each digest, at offsets below the capacity.
        return unsafe [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
            let bytes = UnsafeMutableRawBufferPointer(buffer)
            for (index, digest) in digests.enumerated() {
                let start = index * byteCount
                unsafe bytes.storeBytes(
                    of: digest.a.bigEndian, toByteOffset: start, as: UInt64.self)
                unsafe bytes.storeBytes(
                    of: digest.b.bigEndian, toByteOffset: start + 8, as: UInt64.self)
                unsafe bytes.storeBytes(
                    of: digest.c.bigEndian, toByteOffset: start + 16, as: UInt64.self)
                unsafe bytes.storeBytes(
                    of: digest.d.bigEndian, toByteOffset: start + 24, as: UInt64.self)
            }
            initialized = count
        }
    }

    /// The digests that lie side by side in `bytes`; what is left over at the end is ignored.
    package static func unpacked(_ bytes: [UInt8]) -> [Digest] {
        // SAFETY: a `UInt8` has no padding.
        let span = unsafe bytes.span.bytes
        return stride(from: 0, through: bytes.count - byteCount, by: byteCount).compactMap {
            Digest(span, at: $0)
        }
    }

    /// 64 lower-case hexadecimal digits.
    package var hex: String {
        let digits: [Character] = Array("0123456789abcdef")
        return String(bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] })
    }

    /// The first eight hexadecimal digits, for logs.
    package var short: String { String(hex.prefix(8)) }

    package var description: String { hex }

    @inlinable
    package static func < (x: Self, y: Self) -> Bool {
        (x.a, x.b, x.c, x.d) < (y.a, y.b, y.c, y.d)
    }
}

/// A SHA-256 over a sealed descriptor: the name of a blob.
package typealias BlobID = Digest
/// A SHA-256 over a sealed manifest: the name of a model's version.
package typealias ManifestID = Digest
/// A SHA-256 over a node's public key.
package typealias PeerID = Digest

/// A 32-byte secret.
///
/// It never prints itself.
package struct SecretKey: Hashable, Sendable, CustomStringConvertible, CustomReflectable {
    /// The number of bytes of a key.
    package static let byteCount = 32

    private let words: Digest

    /// Builds a key from exactly 32 bytes; nil for any other number.
    package init?(_ bytes: some Collection<UInt8>) {
        guard let words = Digest(bytes) else { return nil }
        self.words = words
    }

    /// The secret itself, for the functions that use or store it.
    package var bytes: [UInt8] { words.bytes }

    /// A fixed text: keys stay out of logs, errors and crash reports.
    package var description: String { "<secret>" }

    package var customMirror: Mirror { Mirror(self, children: []) }
}

/// The 20 bytes under which peers meet for one blob on one UTC day (the size of a BitTorrent info
/// hash, BEP 5, so that the Mainline DHT can carry it).
package struct Topic: Hashable, Sendable, CustomStringConvertible {
    /// The number of bytes of a topic.
    package static let byteCount = 20

    package let bytes: [UInt8]

    /// Builds a topic from exactly 20 bytes; nil for any other number.
    package init?(_ bytes: some Collection<UInt8>) {
        guard bytes.count == Self.byteCount else { return nil }
        self.bytes = Array(bytes)
    }

    package var description: String {
        Digest(bytes + Array(repeating: 0, count: 12)).map { String($0.hex.prefix(16)) } ?? ""
    }
}
