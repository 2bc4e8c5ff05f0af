internal import Foundation

/// How the frames of a file are coded before sealing.
///
/// The raw values are the format's.
package enum FrameCodec: UInt32, Sendable, CaseIterable, CustomStringConvertible {
    /// Frame = cell = plaintext.
    case raw = 0
    /// An LZ4 block.
    case lz4 = 1
    /// Bits of 16-bit elements transposed, then LZ4: a c-blosc 1 chunk.
    case bitshuffle2 = 2
    /// Bits of 32-bit elements transposed, then LZ4: a c-blosc 1 chunk.
    case bitshuffle4 = 3

    package var description: String {
        switch self {
        case .raw: "raw"
        case .lz4: "lz4"
        case .bitshuffle2: "bitshuffle2+lz4"
        case .bitshuffle4: "bitshuffle4+lz4"
        }
    }
}

/// What a reader needs to know of a file, and nobody else may.
package struct FileRecord: Hashable, Sendable {
    /// Bytes of plaintext; at least 1, since empty files are inlined.
    package let size: Int
    /// SHA-256 of the plaintext.
    package let sha256: Digest
    package let frames: FrameTable
    package let blobID: BlobID
    package let blobKey: SecretKey
    /// SHA-256 of the stored stream, from which anybody derives the key of a public file's blob;
    /// nil for a private file.
    package let storedSHA256: Digest?

    package init(
        size: Int, sha256: Digest, frames: FrameTable, blobID: BlobID, blobKey: SecretKey,
        storedSHA256: Digest? = nil
    ) {
        self.size = size
        self.sha256 = sha256
        self.frames = frames
        self.blobID = blobID
        self.blobKey = blobKey
        self.storedSHA256 = storedSHA256
    }

    /// Reads a record on its own, as the registry stores it and peers send it.
    ///
    /// - Throws: `PetalsError` saying which field is wrong.
    package init(parsing bytes: [UInt8]) throws(PetalsError) {
        try self.init(
            message: parseMessage(
                PBFileRecord.self, from: bytes, what: "a file record",
                bytesMax: Limits.manifestBytesMax))
    }

    /// The record's bytes; equal records give equal bytes.
    package func serialized() -> [UInt8] { serializeMessage(message) }

    init(message: PBFileRecord) throws(PetalsError) {
        guard let size = Int(exactly: message.size), (1...Limits.blobBytesMax).contains(size) else {
            throw PetalsError(
                .limitExceeded, "a file record has an impossible size of \(message.size) bytes")
        }
        guard let codec = FrameCodec(rawValue: message.codec) else {
            throw PetalsError(
                .unsupportedVersion,
                "a file record names codec \(message.codec), which this petalsfs does not know; "
                    + "install a newer petalsfs to read it")
        }
        self.size = size
        sha256 = try Digest(field: message.sha256, what: "a file's SHA-256")
        frames = try FrameTable(size: size, codec: codec, lengths: message.frameLengths)
        blobID = try Digest(field: message.blobID, what: "a file's blob id")
        blobKey = try SecretKey(field: message.blobKey, what: "a file's blob key")
        storedSHA256 =
            message.storedSha256.isEmpty
            ? nil : try Digest(field: message.storedSha256, what: "a stored stream's SHA-256")
        guard codec != .raw || storedSHA256 == nil || storedSHA256 == sha256 else {
            throw PetalsError(
                .corrupt,
                "a raw file's record has two different SHA-256s, and its stored stream is the "
                    + "file; it was published wrongly")
        }
    }

    var message: PBFileRecord {
        var message = PBFileRecord()
        message.size = UInt64(size)
        message.sha256 = sha256.field
        message.codec = frames.codec.rawValue
        message.frameLengths = frames.lengths
        message.blobID = blobID.field
        message.blobKey = Data(blobKey.bytes)
        message.storedSha256 = storedSHA256?.field ?? Data()
        return message
    }
}
