internal import Foundation

/// Geometry and shard roots of a blob: enough to locate, hold, check, audit and repair it, and
/// nothing about its name or content.
package struct BlobDescriptor: Hashable, Sendable {
    package let geometry: BlobGeometry
    /// The root of each shard's hash tree, in shard order.
    package let shardRoots: [Digest]

    /// Pairs a geometry with its roots.
    ///
    /// - Precondition: one root for each shard.
    package init(geometry: BlobGeometry, shardRoots: [Digest]) {
        precondition(shardRoots.count == geometry.shardCount)
        self.geometry = geometry
        self.shardRoots = shardRoots
    }

    /// Reads a descriptor after it was unsealed.
    ///
    /// - Throws: `PetalsError` saying which field is wrong.
    package init(parsing bytes: [UInt8]) throws(PetalsError) {
        let message = try parseMessage(
            PBBlobDescriptor.self, from: bytes, what: "a blob descriptor",
            bytesMax: Limits.descriptorBytesMax)
        try requireVersion(message.version, what: "a blob descriptor")
        guard message.cellBytes == UInt32(Limits.cellBytes),
            message.leafBytes == UInt32(Limits.leafBytes),
            message.erasureCode == 1, message.hash == 1
        else {
            throw PetalsError(
                .unsupportedVersion,
                "a blob descriptor asks for a cell, leaf, code or hash that this petalsfs does "
                    + "not know; install a newer petalsfs to read it")
        }
        geometry = try BlobGeometry(
            storedLength: Int(clamping: message.storedLength),
            dataShards: Int(clamping: message.dataShards),
            groupShards: Int(clamping: message.groupShards),
            rowsPerGroup: Int(clamping: message.rowsPerGroup))
        let roots = message.shardRoots
        guard roots.count == geometry.shardCount * Digest.byteCount else {
            throw PetalsError(
                .corrupt,
                "a blob descriptor has \(roots.count) bytes of roots for "
                    + "\(geometry.shardCount) shards; it is damaged")
        }
        self.shardRoots = Digest.unpacked(Array(roots))
    }

    /// The bytes that are sealed; equal descriptors give equal bytes.
    package func serialized() -> [UInt8] {
        var message = PBBlobDescriptor()
        message.version = 1
        message.storedLength = UInt64(geometry.storedLength)
        message.dataShards = UInt32(geometry.dataShards)
        message.groupShards = UInt32(geometry.groupShards)
        message.rowsPerGroup = UInt32(geometry.rowsPerGroup)
        message.cellBytes = UInt32(Limits.cellBytes)
        message.leafBytes = UInt32(Limits.leafBytes)
        message.erasureCode = 1
        message.hash = 1
        message.shardRoots = Data(Digest.packed(shardRoots))
        return serializeMessage(message)
    }
}
