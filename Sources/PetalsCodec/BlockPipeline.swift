package import PetalsCore

/// The one place that knows the order of the stages between a file and its leaves.
///
///     seal   plaintext -> frames -> stored stream -> encrypt -> cells -> + parity -> leaf hashes
///     open   verified leaves -> cells -> sealed stream -> decrypt -> frames -> plaintext
///
/// Sealing goes row by row (`RowSealer`), so that a publication of any size needs the memory of a
/// few rows; a node that publishes in place seals parts of single data cells again whenever it is
/// asked for them (`sealLeaves`). Opening starts from leaves that were verified and lie side by
/// side; it touches only what the wanted range needs. Whole cells that nobody has are rebuilt from
/// others of their row before they are opened (`VerifiedLeaves.rebuilt`), which needs no key.
package struct BlockPipeline: Sendable {
    package let geometry: BlobGeometry
    let cipher: StreamCipher

    package init(geometry: BlobGeometry, blobKey: SecretKey) {
        self.geometry = geometry
        cipher = StreamCipher(key: blobKey)
    }

    // MARK: Seal

    /// The part of the stored stream that a row holds; shorter than its cells at the stream's end.
    ///
    /// - Precondition: the blob has the row.
    package func streamRange(of row: RowIndex) -> Range<Int> {
        precondition(row.rawValue >= 0 && row.rawValue < geometry.rowCount)
        let start = row.rawValue * geometry.dataShards * Limits.cellBytes
        let length = geometry.dataShards * geometry.cellLength(row: row)
        return start..<min(start + length, geometry.storedLength)
    }

    /// The part of the stored stream that leaves of a data cell hold; empty where they are padding.
    ///
    /// - Precondition: the blob has the cell and the cell the leaves; it is a data cell.
    package func streamRange(of address: CellAddress, leaves: Range<Int>) -> Range<Int> {
        precondition(geometry.contains(address) && geometry.isData(address.shard))
        precondition(leaves.lowerBound >= 0 && leaves.upperBound <= geometry.leafCount(address))
        let cell = geometry.streamOffset(address)
        let start = min(cell + leaves.lowerBound * Limits.leafBytes, geometry.storedLength)
        let end = min(cell + leaves.upperBound * Limits.leafBytes, geometry.storedLength)
        return start..<end
    }

    /// Seals a row into arrays of its own; a publication uses one `RowSealer` for many rows.
    ///
    /// - Parameter stream: the stored stream's bytes `streamRange(of: row)`, not yet encrypted.
    /// - Precondition: the blob has the row, and `stream` as many bytes as that range.
    package func sealRow(_ row: RowIndex, stream: [UInt8]) -> SealedRow {
        precondition(stream.count == streamRange(of: row).count)
        let sealer = RowSealer(self)
        // SAFETY: the buffer has as many bytes as the stream, which was checked above.
        unsafe sealer.seal(row) { unsafe $0.copyBytes(from: stream) }
        return SealedRow(sealer)
    }

    /// Seals leaves of one data cell, as publishing in place does when they are asked for.
    ///
    /// The result is not verified: the file under it may have changed. Compare it with the leaf
    /// hashes of the publication (`VerifiedLeaves.checked`).
    ///
    /// - Parameter stream: the stored stream's bytes `streamRange(of: address, leaves: leaves)`,
    ///   not yet encrypted.
    /// - Precondition: as `streamRange(of:leaves:)`, and `stream` has as many bytes as that range.
    package func sealLeaves(
        of address: CellAddress, leaves: Range<Int>, stream: [UInt8]
    ) -> [UInt8] {
        let range = streamRange(of: address, leaves: leaves)
        precondition(stream.count == range.count)
        return seal(
            stream, stream.indices, streamOffset: range.lowerBound,
            length: leaves.count * Limits.leafBytes)
    }

    /// A part of `stream`, encrypted, followed by zeros (which are not) up to `length` bytes.
    private func seal(
        _ stream: [UInt8], _ part: Range<Int>, streamOffset: Int, length: Int
    ) -> [UInt8] {
        // SAFETY: the part lies inside the stream and is no longer than the output, whose rest is
        // set to zero.
        unsafe [UInt8](unsafeUninitializedCapacity: length) { output, count in
            unsafe stream.withUnsafeBytes { stream in
                let output = unsafe UnsafeMutableRawBufferPointer(
                    start: output.baseAddress, count: length)
                unsafe cipher.apply(
                    at: streamOffset, from: UnsafeRawBufferPointer(rebasing: stream[part]),
                    to: UnsafeMutableRawBufferPointer(rebasing: output[..<part.count]))
                unsafe UnsafeMutableRawBufferPointer(rebasing: output[part.count...])
                    .initializeMemory(as: UInt8.self, repeating: 0)
            }
            count = length
        }
    }

    // MARK: Open

    /// Throws unless a file record and the descriptor of the blob that it names fit together.
    ///
    /// Both are authentic on their own; a publisher can still have paired them wrongly. Whoever
    /// opens a blob checks once, so that no range of the file ever falls outside of the blob.
    ///
    /// - Throws: `PetalsError.corrupt` where their lengths differ.
    package static func check(
        _ record: FileRecord, against descriptor: BlobDescriptor
    ) throws(PetalsError) {
        guard record.frames.storedLength == descriptor.geometry.storedLength else {
            throw PetalsError(
                .corrupt,
                "a file of \(record.frames.storedLength) stored bytes names the blob "
                    + "\(record.blobID.short), which has \(descriptor.geometry.storedLength); "
                    + "it was published wrongly")
        }
    }

    /// Opens a range of a file.
    ///
    /// - Parameters:
    ///   - sealed: sealed stream bytes that contain at least
    ///     `record.frames.storedRange(covering: plain)`, from leaves that were verified. In a coded
    ///     file they are decrypted in place and are of no use after; in a raw file they stay.
    ///   - storedOffset: where the first of them lies in the stored stream.
    ///   - plain: the wanted range of the file; may be empty.
    ///   - target: where it goes; its first `plain.count` bytes are written. A raw file is
    ///     decrypted straight into it.
    /// - Throws: `PetalsError.badInput` where the range is not in the file, the sealed bytes or the
    ///   target are too short; `.corrupt` where a frame does not decode.
    package static func openStored(
        sealed: inout [UInt8], storedOffset: Int, record: FileRecord, plain: Range<Int>,
        into target: UnsafeMutableRawBufferPointer
    ) throws(PetalsError) {
        if plain.isEmpty { return }
        let stored = try storedRange(of: plain, in: record)
        guard storedOffset >= 0, storedOffset <= stored.lowerBound,
            sealed.count >= stored.upperBound - storedOffset, target.count >= plain.count
        else {
            throw PetalsError(
                .badInput,
                "reading \(plain) of a file needs \(stored) of its stored stream and room for "
                    + "\(plain.count) bytes; this is a fault of petalsfs, please report it")
        }
        let needed = stored.lowerBound - storedOffset..<stored.upperBound - storedOffset
        let cipher = StreamCipher(key: record.blobKey)
        guard record.frames.codec != .raw else {
            // SAFETY: both parts have `plain.count` bytes, which the guard above has proved.
            unsafe sealed.withUnsafeBytes { sealed in
                unsafe cipher.apply(
                    at: stored.lowerBound, from: UnsafeRawBufferPointer(rebasing: sealed[needed]),
                    to: UnsafeMutableRawBufferPointer(rebasing: target[..<plain.count]))
            }
            return
        }
        cipher.apply(at: stored.lowerBound, to: &sealed, range: needed)
        // SAFETY: the target has room for the range.
        try unsafe decodeFrames(
            sealed.span.bytes, storedOffset: storedOffset, table: record.frames, plain: plain,
            into: target)
    }

    /// Decrypts a part of a raw file straight to where it goes.
    ///
    /// - Parameters:
    ///   - sealed: bytes of leaves that were verified.
    ///   - part: which of them.
    ///   - storedOffset: where the first byte of the part lies in the stored stream.
    ///   - target: as many bytes as the part.
    /// - Precondition: the file's codec is raw and the counts agree: the caller has cut both.
    package static func openRaw(
        _ sealed: [UInt8], _ part: Range<Int>, storedOffset: Int, record: FileRecord,
        into target: UnsafeMutableRawBufferPointer
    ) {
        precondition(record.frames.codec == .raw && target.count == part.count)
        let cipher = StreamCipher(key: record.blobKey)
        // SAFETY: slicing checks that the part lies inside of the bytes; the target is as long.
        unsafe sealed.withUnsafeBytes { sealed in
            unsafe cipher.apply(
                at: storedOffset, from: UnsafeRawBufferPointer(rebasing: sealed[part]), to: target)
        }
    }

    /// Opens a range of a file into an array of its own.
    ///
    /// - Throws: as `openStored(sealed:storedOffset:record:plain:into:)`.
    package static func openStored(
        sealed: inout [UInt8], storedOffset: Int, record: FileRecord, plain: Range<Int>
    ) throws(PetalsError) -> [UInt8] {
        // Before the allocation: the range may be nonsense.
        _ = try storedRange(of: plain, in: record)
        var failure: PetalsError?
        // SAFETY: the capacity passed on is the output's own; the bytes count only when all of them
        // were written.
        let bytes = unsafe [UInt8](unsafeUninitializedCapacity: plain.count) { output, count in
            do throws(PetalsError) {
                try unsafe openStored(
                    sealed: &sealed, storedOffset: storedOffset, record: record, plain: plain,
                    into: UnsafeMutableRawBufferPointer(
                        start: output.baseAddress, count: plain.count))
                count = plain.count
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
        return bytes
    }

    /// The stored bytes that a range of the file needs.
    private static func storedRange(
        of plain: Range<Int>, in record: FileRecord
    ) throws(PetalsError) -> Range<Int> {
        guard plain.lowerBound >= 0, plain.upperBound <= record.size else {
            throw PetalsError(
                .badInput, "the bytes \(plain) are not in a file of \(record.size) bytes")
        }
        return plain.isEmpty ? 0..<0 : record.frames.storedRange(covering: plain)
    }

    /// Decodes the frames that a range touches: whole ones in their place, others on the side.
    private static func decodeFrames(
        _ stored: RawSpan, storedOffset: Int, table: FrameTable, plain: Range<Int>,
        into target: UnsafeMutableRawBufferPointer
    ) throws(PetalsError) {
        for frame in table.frames(covering: plain) {
            let storedRange = table.storedRange(frame: frame)
            let frameStored = stored.extracting(
                storedRange.lowerBound - storedOffset..<storedRange.upperBound - storedOffset)
            let framePlain = table.plainRange(frame: frame)
            let wanted = framePlain.clamped(to: plain)
            // SAFETY: `wanted` lies inside `plain`, which the target has room for, and inside the
            // frame.
            let place = unsafe UnsafeMutableRawBufferPointer(
                rebasing: target[
                    wanted.lowerBound - plain.lowerBound..<wanted.upperBound - plain.lowerBound])
            if wanted == framePlain {
                try unsafe FrameCoder.decode(
                    stored: frameStored, codec: table.codec, plainLength: framePlain.count,
                    into: place)
            } else {
                let decoded = try FrameCoder.decode(
                    stored: frameStored, codec: table.codec, plainLength: framePlain.count)
                let start = wanted.lowerBound - framePlain.lowerBound
                // SAFETY: the place has as many bytes as `wanted`.
                unsafe place.copyBytes(from: decoded[start..<start + wanted.count])
            }
        }
    }
}
