internal import Logging
internal import PetalsCodec
package import PetalsCore
internal import PetalsStore

/// Reads one file: from memory, from the disk, from peers.
///
/// A read that finds all its leaves here is answered on the caller's thread, with no task and no
/// hop. Any other asks for all that is missing at once, waits, and is then answered by the same
/// steps: put the sealed parts side by side, decrypt, decode.
package final class BlobReader: Sendable {
    package let record: FileRecord

    private let node: Node
    private let session = UnfairLock<BlobSession?>(nil)
    private let readAhead: UnfairLock<ReadAhead>

    init(record: FileRecord, node: Node) {
        self.record = record
        self.node = node
        readAhead = UnfairLock(ReadAhead(size: record.size))
    }

    deinit {
        node.engine.readAhead.forget(ObjectIdentifier(self))
    }

    /// Bytes of the file.
    package var size: Int { record.size }

    /// Stored bytes of the file that are in this node.
    package var cachedBytes: Int {
        guard let session = session.withLock({ $0 }) ?? node.openedSession(record) else { return 0 }
        let geometry = session.geometry
        let bytes = geometry.streamShards.reduce(0) {
            $0 + session.stored.holdings(of: $1).count * Limits.cellBytes
        }
        return min(bytes, geometry.storedLength)
    }

    // MARK: Reading

    /// Answers from memory and disk; false where anything must be fetched first.
    ///
    /// - Parameters:
    ///   - range: non-empty, inside the file.
    ///   - buffer: `range.count` bytes; all are written when the result is true.
    /// - Throws: `PetalsError.corrupt` where verified bytes do not decode: a faulty publication.
    package func readIfPresent(
        _ range: Range<Int>, into buffer: UnsafeMutableRawBufferPointer
    ) throws(PetalsError) -> Bool {
        guard let session = session.withLock({ $0 }) else { return false }
        let pieces = session.geometry.pieces(of: record.frames.storedRange(covering: range))
        let engine = node.engine
        for piece in pieces where !engine.isPresent(session, piece.address, piece.leaves) {
            return false
        }
        fetchAhead(of: range, session)
        var parts: [[VerifiedLeaves]] = []
        for piece in pieces {
            guard let found = try engine.present(session, piece.address, piece.leaves) else {
                return false
            }
            parts.append(found)
        }
        // SAFETY: the caller's buffer has `range.count` bytes, as the contract says.
        try unsafe open(range, pieces: pieces, parts: parts, into: buffer)
        release(pieces, session)
        return true
    }

    /// Reads a range, waiting for whatever has to come from peers.
    ///
    /// - Parameters:
    ///   - range: non-empty, inside the file.
    ///   - deadline: when to give up waiting; never, unless given.
    /// - Throws: `PetalsError.cancelled` when the task is cancelled, `.timedOut` at the deadline,
    ///   `.corrupt` as above.
    package func read(
        _ range: Range<Int>, deadline: ContinuousClock.Instant? = nil
    ) async throws(PetalsError) -> [UInt8] {
        let session = try await openSession()
        let pieces = session.geometry.pieces(of: record.frames.storedRange(covering: range))
        let engine = node.engine
        // A second round is needed only when something was damaged on the disk meanwhile.
        while true {
            var parts: [CellAddress: [VerifiedLeaves]] = [:]
            var missing: [FetchScheduler.CellKey: LeafSet] = [:]
            for piece in pieces {
                if let found = try engine.present(session, piece.address, piece.leaves) {
                    parts[piece.address] = found
                } else {
                    missing[session.key(piece.address)] = piece.leaves
                }
            }
            if !missing.isEmpty {
                engine.joinEverywhere(session)
                let ticket = ReadTicket(missing: missing)
                engine.demand.begin()
                engine.want(missing, ticket: ticket)
                fetchAhead(of: range, session)
                defer {
                    engine.abandon(ticket)
                    engine.demand.end()
                }
                try await node.stalls.watch(
                    record, range: range, ticket: ticket, deadline: deadline
                ) {
                    () async throws(PetalsError) in try await ticket.wait()
                }
                for (key, came) in ticket.parts { parts[key.address] = came }
            }
            let ordered = pieces.map { parts[$0.address] ?? [] }
            guard zip(pieces, ordered).allSatisfy({ Self.cover($0.leaves, by: $1) }) else {
                continue
            }
            let bytes = try openToArray(range, pieces: pieces, parts: ordered)
            release(pieces, session)
            return bytes
        }
    }

    /// Fetches whole cells of the file that nobody waits for, at most `cellsMax` under way.
    ///
    /// - Throws: `PetalsError.cancelled`.
    package func prefetch(progress: @Sendable (Int) -> Void) async throws(PetalsError) {
        let session = try await openSession()
        try await node.fetchWhole(
            session, shards: session.geometry.streamShards, progress: progress)
    }

    // MARK: Helpers

    private func openSession() async throws(PetalsError) -> BlobSession {
        if let session = session.withLock({ $0 }) { return session }
        let opened = try await node.open(record)
        session.withLock { $0 = opened }
        return opened
    }

    private func fetchAhead(of range: Range<Int>, _ session: BlobSession) {
        let share = node.engine.readAhead
        let now = MonotonicClock.now
        let advice = readAhead.withLock { ahead in
            let window = share.window(
                for: ObjectIdentifier(self), streams: ahead.streamCount, now: now)
            return ahead.next(after: range, windowMax: window)
        }
        for dropped in advice.dropped {
            node.engine.unwantBulk(session, addresses(of: dropped, session))
        }
        if !advice.fetch.isEmpty {
            node.engine.wantBulk(session, addresses(of: advice.fetch, session))
        }
    }

    /// The cells that hold a range of the file.
    private func addresses(of plain: Range<Int>, _ session: BlobSession) -> [CellAddress] {
        session.geometry.pieces(of: record.frames.storedRange(covering: plain)).map(\.address)
    }

    /// Lets go of cells that were read whole: the kernel has their bytes now.
    private func release(_ pieces: [CellPiece], _ session: BlobSession) {
        for piece in pieces
        where piece.rangeInCell.count == session.geometry.cellLength(piece.address) {
            node.engine.release(session, piece.address)
        }
    }

    private static func cover(_ leaves: LeafSet, by parts: [VerifiedLeaves]) -> Bool {
        parts.reduce(LeafSet.none) { $0.union(LeafSet($1.leaves)) }.isSuperset(of: leaves)
    }

    private func openToArray(
        _ range: Range<Int>, pieces: [CellPiece], parts: [[VerifiedLeaves]]
    ) throws(PetalsError) -> [UInt8] {
        var failure: PetalsError?
        // SAFETY: the buffer has exactly the capacity that was asked for, `range.count` bytes; it
        // counts as written only when `open` has written all of it.
        let bytes = unsafe [UInt8](unsafeUninitializedCapacity: range.count) { buffer, count in
            do throws(PetalsError) {
                try unsafe open(
                    range, pieces: pieces, parts: parts,
                    into: UnsafeMutableRawBufferPointer(
                        start: buffer.baseAddress, count: range.count))
                count = range.count
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
        return bytes
    }

    /// Opens a range from the parts that cover it.
    ///
    /// A raw file is decrypted part by part, straight to where it goes; the frames of a coded one
    /// are put side by side first.
    private func open(
        _ range: Range<Int>, pieces: [CellPiece], parts: [[VerifiedLeaves]],
        into buffer: UnsafeMutableRawBufferPointer
    ) throws(PetalsError) {
        guard record.frames.codec != .raw else {
            var done = 0
            for (piece, found) in zip(pieces, parts) {
                Self.eachPart(of: piece.rangeInCell, in: found) { bytes, part in
                    // SAFETY: the pieces add up to the range, and the buffer has as many bytes.
                    unsafe BlockPipeline.openRaw(
                        bytes, part, storedOffset: range.lowerBound + done, record: record,
                        into: UnsafeMutableRawBufferPointer(
                            rebasing: buffer[done..<done + part.count]))
                    done += part.count
                }
            }
            return
        }
        let stored = record.frames.storedRange(covering: range)
        var sealed: [UInt8] = []
        sealed.reserveCapacity(stored.count)
        for (piece, found) in zip(pieces, parts) {
            Self.eachPart(of: piece.rangeInCell, in: found) { sealed += $0[$1] }
        }
        // SAFETY: the buffer has `range.count` bytes by this function's contract.
        try unsafe BlockPipeline.openStored(
            sealed: &sealed, storedOffset: stored.lowerBound, record: record, plain: range,
            into: buffer)
    }

    /// Goes through a range of bytes of a cell in the parts that cover it.
    private static func eachPart(
        of range: Range<Int>, in parts: [VerifiedLeaves],
        body: (_ bytes: [UInt8], _ part: Range<Int>) -> Void
    ) {
        var offset = range.lowerBound
        while offset < range.upperBound {
            let leaf = offset / Limits.leafBytes
            guard let part = parts.first(where: { $0.leaves.contains(leaf) }) else {
                preconditionFailure("the parts cover the piece: `cover` or `present` said so")
            }
            let start = part.leaves.lowerBound * Limits.leafBytes
            let end = min(part.leaves.upperBound * Limits.leafBytes, range.upperBound)
            body(part.bytes, offset - start..<end - start)
            offset = end
        }
    }
}
