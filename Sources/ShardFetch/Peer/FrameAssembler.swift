package import NIOCore
package import PetalsCore

/// A frame as it came from a peer: well formed, and nothing more is known of it.
package enum InboundFrame: Sendable {
    case control(ControlMessage)
    case data(DataHeader, proof: [Digest], leaves: [UInt8])
    case cellLayer(CellLayerHeader, hashes: [Digest])
    case document(DocumentHeader, chunk: [UInt8])
}

/// Cuts a stream of bytes into frames.
///
/// Bytes may come in any portions. Each length is checked before anything is allocated for it, and
/// the leaves of a data frame are copied once, out of the network's buffers into their own array.
package struct FrameAssembler {
    /// Which part of a frame the next bytes belong to.
    private enum Stage {
        /// Length and kind: 5 bytes.
        case prefix
        /// The fixed header of a frame of this kind with so many bytes in its body.
        case header(FrameKind, bodyBytes: Int)
        case control
        case proof(DataHeader)
        case leaves(DataHeader, proof: [Digest])
        case cellHashes(CellLayerHeader)
        case chunk(DocumentHeader)
    }

    private var stage = Stage.prefix
    private var partBytes = Self.prefixBytes
    private var part: [UInt8] = []

    /// Length (4) and kind (1).
    package static let prefixBytes = 5

    package init() {}

    /// Takes what it can use from `buffer`; a frame when one is whole, nil when more is needed.
    ///
    /// - Throws: `PetalsError` when the peer does not speak the protocol. The assembler is then of
    ///   no more use.
    package mutating func next(from buffer: inout ByteBuffer) throws(PetalsError) -> InboundFrame? {
        while true {
            let missing = partBytes - part.count
            if missing > 0 {
                guard buffer.readableBytes > 0 else { return nil }
                let take = min(missing, buffer.readableBytes)
                part.append(contentsOf: buffer.readableBytesView.prefix(take))
                buffer.moveReaderIndex(forwardBy: take)
                guard take == missing else { return nil }
            }
            let whole = part
            part = []
            if let frame = try advance(with: whole) { return frame }
        }
    }

    /// Handles a part that is whole and decides what comes next.
    private mutating func advance(with bytes: [UInt8]) throws(PetalsError) -> InboundFrame? {
        switch stage {
        case .prefix:
            try readPrefix(bytes)
        case .header(let kind, let bodyBytes):
            try readHeader(bytes, kind: kind, bodyBytes: bodyBytes)
        case .control:
            expect(.prefix, Self.prefixBytes)
            return .control(try ControlMessage(parsing: bytes))
        case .proof(let header):
            expect(
                .leaves(header, proof: Digest.unpacked(bytes)),
                header.leaves.count * Limits.leafBytes)
        case .leaves(let header, let proof):
            expect(.prefix, Self.prefixBytes)
            return .data(header, proof: proof, leaves: bytes)
        case .cellHashes(let header):
            expect(.prefix, Self.prefixBytes)
            return .cellLayer(header, hashes: Digest.unpacked(bytes))
        case .chunk(let header):
            expect(.prefix, Self.prefixBytes)
            return .document(header, chunk: bytes)
        }
        return nil
    }

    private mutating func expect(_ stage: Stage, _ bytes: Int) {
        self.stage = stage
        partBytes = bytes
        part.reserveCapacity(bytes)
    }

    private mutating func readPrefix(_ bytes: [UInt8]) throws(PetalsError) {
        let length = bytes.prefix(4).reduce(0) { $0 << 8 | Int($1) }
        guard let kind = FrameKind(rawValue: bytes[4]) else {
            throw PetalsError(
                .protocolViolation, "the peer sent a frame of unknown kind \(bytes[4])")
        }
        let bodyBytes = length - 1
        guard bodyBytes >= 0, bodyBytes <= kind.bodyBytesMax else {
            throw PetalsError(
                .protocolViolation, "the peer sent a \(kind) frame of \(length) bytes")
        }
        let headerBytes: Int
        switch kind {
        case .control: headerBytes = 0
        case .data: headerBytes = DataHeader.byteCount
        case .cellLayer: headerBytes = CellLayerHeader.byteCount
        case .document: headerBytes = DocumentHeader.byteCount
        }
        if kind == .control {
            expect(.control, bodyBytes)
        } else {
            expect(.header(kind, bodyBytes: bodyBytes), headerBytes)
        }
    }

    private mutating func readHeader(
        _ bytes: [UInt8], kind: FrameKind, bodyBytes: Int
    ) throws(PetalsError) {
        switch kind {
        case .control: break
        case .data:
            if let header = DataHeader(bytes, bodyBytes: bodyBytes) {
                return expect(.proof(header), header.proofCount * Digest.byteCount)
            }
        case .cellLayer:
            if let header = CellLayerHeader(bytes, bodyBytes: bodyBytes) {
                return expect(.cellHashes(header), header.cellCount * Digest.byteCount)
            }
        case .document:
            if let header = DocumentHeader(bytes, bodyBytes: bodyBytes) {
                return expect(.chunk(header), bodyBytes - DocumentHeader.byteCount)
            }
        }
        throw PetalsError(
            .protocolViolation, "the peer sent a \(kind) frame that contradicts its own length")
    }

}

/// Builds the bytes of frames.
package enum FrameEncoder {
    /// A control message as a frame.
    package static func control(_ message: ControlMessage) -> ByteBuffer {
        let body = message.serialized()
        return frame(.control, header: [], hashes: [], payload: body[...])
    }

    /// Leaves of one cell with the proof that they belong to it.
    package static func data(
        _ header: DataHeader, proof: [Digest], leaves: ArraySlice<UInt8>
    ) -> ByteBuffer {
        frame(.data, header: header.bytes, hashes: proof, payload: leaves)
    }

    /// The same, with leaves that are written straight into the frame.
    ///
    /// - Parameter fill: writes all leaves into the memory that it is given and returns the proof,
    ///   of `header.proofCount` hashes; nil where it has no leaves.
    /// - Returns: nil where `fill` does.
    static func data(
        _ header: DataHeader,
        fill: (UnsafeMutableRawBufferPointer) throws(PetalsError) -> [Digest]?
    ) throws(PetalsError) -> ByteBuffer? {
        let proofBytes = header.proofCount * Digest.byteCount
        let leafBytes = header.leaves.count * Limits.leafBytes
        let body = DataHeader.byteCount + proofBytes + leafBytes
        var buffer = begin(.data, header: header.bytes, bodyBytes: body)
        let proofStart = buffer.writerIndex
        buffer.writeRepeatingByte(0, count: proofBytes)
        var outcome: Result<[Digest]?, PetalsError> = .success(nil)
        // SAFETY: the memory has at least `leafBytes` bytes, `fill` is given exactly those, and
        // they count as written only when it says that it wrote them.
        unsafe buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: leafBytes) { memory in
            let target = unsafe UnsafeMutableRawBufferPointer(rebasing: memory[..<leafBytes])
            do throws(PetalsError) {
                outcome = .success(try unsafe fill(target))
            } catch {
                outcome = .failure(error)
            }
            return leafBytes
        }
        guard let proof = try outcome.get() else { return nil }
        precondition(proof.count == header.proofCount)
        buffer.setBytes(Digest.packed(proof), at: proofStart)
        return buffer
    }

    /// All cell hashes of a shard.
    package static func cellLayer(_ header: CellLayerHeader, hashes: [Digest]) -> ByteBuffer {
        frame(.cellLayer, header: header.bytes, hashes: hashes, payload: [])
    }

    /// A part of a sealed document.
    package static func document(_ header: DocumentHeader, chunk: ArraySlice<UInt8>) -> ByteBuffer {
        frame(.document, header: header.bytes, hashes: [], payload: chunk)
    }

    private static func frame(
        _ kind: FrameKind, header: [UInt8], hashes: [Digest], payload: ArraySlice<UInt8>
    ) -> ByteBuffer {
        let body = header.count + hashes.count * Digest.byteCount + payload.count
        var buffer = begin(kind, header: header, bodyBytes: body)
        buffer.writeBytes(Digest.packed(hashes))
        buffer.writeBytes(payload)
        return buffer
    }

    /// A frame up to its header, with room for all of its body.
    private static func begin(_ kind: FrameKind, header: [UInt8], bodyBytes: Int) -> ByteBuffer {
        var buffer = ByteBufferAllocator().buffer(capacity: FrameAssembler.prefixBytes + bodyBytes)
        buffer.writeInteger(UInt32(clamping: bodyBytes + 1))
        buffer.writeInteger(kind.rawValue)
        buffer.writeBytes(header)
        return buffer
    }
}
