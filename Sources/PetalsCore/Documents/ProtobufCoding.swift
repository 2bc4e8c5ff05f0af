internal import Foundation
internal import SwiftProtobuf

/// Parses a Protocol Buffers message that came from outside.
///
/// - Throws: `PetalsError.limitExceeded` where it is larger than `bytesMax`, else
///   `PetalsError.corrupt` naming `what`.
func parseMessage<M: SwiftProtobuf.Message>(
    _ type: M.Type, from bytes: [UInt8], what: String, bytesMax: Int
) throws(PetalsError) -> M {
    guard bytes.count <= bytesMax else {
        throw PetalsError(
            .limitExceeded, "\(what) has \(bytes.count) bytes, more than the limit of \(bytesMax)")
    }
    // No message of ours nests deeper than four, so ten is room to grow and no stack to exhaust.
    var options = BinaryDecodingOptions()
    options.messageDepthLimit = 10
    do {
        return try M(serializedBytes: bytes, options: options)
    } catch {
        throw PetalsError(.corrupt, "\(what) does not parse; it is damaged or not what it claims")
    }
}

/// Serializes a message of ours.
///
/// The fields go out in the order of their numbers and there are no maps, so equal messages give
/// equal bytes, on which public ids depend.
func serializeMessage(_ message: some SwiftProtobuf.Message) -> [UInt8] {
    do {
        return try message.serializedBytes()
    } catch {
        // Only required fields (proto2), over-long messages (2 GiB) and unregistered extensions
        // fail to serialize; there are none here.
        preconditionFailure("a message of ours did not serialize: \(error)")
    }
}

extension Digest {
    /// Reads a digest field of a document.
    init(field: Data, what: String) throws(PetalsError) {
        guard let digest = Digest(field) else {
            throw PetalsError(
                .corrupt, "\(what) has \(field.count) bytes instead of \(Digest.byteCount)")
        }
        self = digest
    }

    /// The value of a digest field.
    var field: Data { Data(bytes) }
}

extension SecretKey {
    /// Reads a key field of a document.
    init(field: Data, what: String) throws(PetalsError) {
        guard let key = SecretKey(field) else {
            throw PetalsError(
                .corrupt, "\(what) has \(field.count) bytes instead of \(SecretKey.byteCount)")
        }
        self = key
    }
}

/// Throws unless a document has the one version that this program knows.
func requireVersion(_ version: UInt32, what: String) throws(PetalsError) {
    guard version == 1 else {
        throw PetalsError(
            .unsupportedVersion,
            "\(what) has format version \(version), and this petalsfs knows version 1 only; "
                + "install a newer petalsfs to read it")
    }
}
