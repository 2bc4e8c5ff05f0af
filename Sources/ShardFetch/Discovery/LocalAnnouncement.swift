internal import PetalsCodec
internal import PetalsCore

/// One datagram of the local network: what its sender has, or looks for (docs/PROTOCOL.md, section
/// 9).
///
/// It is sent to a multicast group and never answered to its sender, so that nobody can have this
/// node send anything to somebody else.
struct LocalAnnouncement: Hashable, Sendable {
    static let magic = Array("PTLS".utf8)
    static let version: UInt8 = 1
    static let nonceBytes = 16
    static let headerBytes = 24
    static let tagBytes = 8
    /// Topics of one announcement: with them it stays under the 1,280 bytes that every link carries
    /// in one piece.
    static let tagsMax = 128
    static let bytesMax = headerBytes + tagBytes * tagsMax

    private static let lookingFlag: UInt8 = 1

    /// Whether the sender looks for the topics; else it has something of them.
    let isLooking: Bool
    /// Where the sender can be dialled.
    let port: UInt16
    /// Random, new for each announcement.
    let nonce: [UInt8]
    /// What stands for each topic.
    let tags: [UInt64]

    /// An announcement of topics, of which there are at most `tagsMax`.
    init(topics: [Topic], port: UInt16, isLooking: Bool, nonce: [UInt8]) {
        precondition(topics.count <= Self.tagsMax && nonce.count == Self.nonceBytes)
        self.isLooking = isLooking
        self.port = port
        self.nonce = nonce
        tags = topics.map { KeyDerivation.announcementTag($0, nonce: nonce) }
    }

    /// Reads a datagram; nil for what is none of ours.
    init?(_ bytes: [UInt8]) {
        let rest = bytes.count - Self.headerBytes
        guard rest > 0, rest % Self.tagBytes == 0, rest <= Self.tagBytes * Self.tagsMax,
            bytes.starts(with: Self.magic), bytes[4] == Self.version
        else { return nil }
        // Flags that this version does not know change nothing for it.
        isLooking = bytes[5] & Self.lookingFlag != 0
        port = UInt16(bytes[6]) << 8 | UInt16(bytes[7])
        nonce = Array(bytes[8..<Self.headerBytes])
        tags = stride(from: Self.headerBytes, to: bytes.count, by: Self.tagBytes).map { start in
            bytes[start..<start + Self.tagBytes].reduce(0) { $0 << 8 | UInt64($1) }
        }
    }

    /// The datagram.
    var bytes: [UInt8] {
        var bytes = Self.magic + [Self.version, isLooking ? Self.lookingFlag : 0]
        bytes += [UInt8(port >> 8), UInt8(port & 0xff)] + nonce
        for tag in tags {
            for shift in stride(from: UInt64(56), through: 0, by: -8) {
                bytes.append(UInt8(truncatingIfNeeded: tag >> shift))
            }
        }
        return bytes
    }

    /// The topics among `topics` that it is about.
    func named(of topics: some Sequence<Topic>) -> [Topic] {
        let tags = Set(tags)
        return topics.filter { tags.contains(KeyDerivation.announcementTag($0, nonce: nonce)) }
    }
}
