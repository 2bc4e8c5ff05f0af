internal import PetalsCodec
internal import PetalsCore
internal import PetalsTesting
internal import ShardFetch

// What readers ask, what holders answer, and what readers make of that: `FetchEngine` as far as it
// matters.

extension ReadingWorld {
    /// Seconds between two looks of a scheduler at the clock, as in petalsfs.
    static let tickSeconds: Instant = 0.05
    /// Seconds for which what happens is gathered before a scheduler is asked.
    static let actSeconds: Instant = 0.002

    // MARK: Reading

    /// A reader wants its next bytes.
    func begin(_ reader: ReadingNode) {
        guard reader.isReading, reader.read == nil else { return }
        let reads = blob.plain.count / ReadingNode.readBytes
        let start: Int
        if scenario.thinkSeconds == nil {
            if reader.offset >= blob.plain.count { rewind(reader) }
            start = reader.offset
        } else {
            start = Int.random(in: 0..<reads, using: &reader.generator) * ReadingNode.readBytes
        }
        let range = start..<start + ReadingNode.readBytes
        reader.offset = range.upperBound
        // One piece: a read lies in one cell.
        guard let piece = blob.geometry.pieces(of: range).first else { return }
        reader.read = ReadingNode.Read(range: range, piece: piece, since: queue.now)
        if scenario.thinkSeconds == nil { fetchAhead(of: range, reader) }
        let missing = piece.leaves.subtracting(reader.leaves(of: piece.address))
        guard !missing.isEmpty else { return finish(reader) }
        reader.scheduler.want(
            ReadingNode.key(piece.address), leaves: missing, urgency: .demand)
        act(reader)
    }

    private func rewind(_ reader: ReadingNode) {
        reader.offset = 0
        reader.present = [:]
        reader.readAhead = ReadAhead(size: blob.plain.count)
    }

    private func fetchAhead(of range: Range<Int>, _ reader: ReadingNode) {
        let advice = reader.readAhead.next(after: range, windowMax: ReadingNode.windowBytes)
        for piece in blob.geometry.pieces(of: advice.fetch) {
            let all = LeafSet(first: blob.geometry.leafCount(piece.address))
            reader.scheduler.want(
                ReadingNode.key(piece.address),
                leaves: all.subtracting(reader.leaves(of: piece.address)), urgency: .bulk)
        }
    }

    /// Gives a reader its bytes, when they are all here: decrypted, and compared with the file.
    private func finish(_ reader: ReadingNode) {
        guard let read = reader.read, let leaves = read.piece.leaves.runs.first,
            var sealed = reader.bytes(of: read.piece.address, leaves)
        else { return }
        let opened = try? BlockPipeline.openStored(
            sealed: &sealed, storedOffset: read.range.lowerBound, record: blob.record,
            plain: read.range)
        if opened.map({ sha256($0) }) != digests[read.range.lowerBound / ReadingNode.readBytes] {
            figures.wrongBytes += read.range.count
        }
        reader.read = nil
        reader.readsAnswered += 1
        if reader.firstAnswerAt == nil { reader.firstAnswerAt = queue.now }
        if isCounting {
            figures.seconds.append(queue.now - read.since)
            figures.answeredBytes += read.range.count
            if read.askedInVain { figures.askedInVain += 1 }
        }
        release(reader, read)
        var pause = 0.0
        if let mean = scenario.thinkSeconds { pause = reader.generator.decay(mean: mean) }
        queue.schedule(.read(reader.number), after: pause)
    }

    /// Lets go of what was read, and of what its row was rebuilt from.
    private func release(_ reader: ReadingNode, _ read: ReadingNode.Read) {
        let geometry = blob.geometry
        if scenario.thinkSeconds != nil {
            if reader.scheduler.isIdle { reader.present = [:] }
            return
        }
        let row = geometry.row(of: read.piece.address)
        let isRowOver = read.range.upperBound % (geometry.dataShards * Limits.cellBytes) == 0
        guard isRowOver else { return }
        for column in 0..<geometry.groupShards {
            reader.present[geometry.address(row: row, column: column)] = nil
        }
    }

    // MARK: Asking

    /// Has a reader's scheduler asked soon what to do.
    func act(_ reader: ReadingNode) {
        guard !reader.isActing else { return }
        reader.isActing = true
        queue.schedule(.act(reader.number), after: Self.actSeconds)
    }

    func tick(_ reader: ReadingNode) {
        reader.isTicking = false
        guard !reader.scheduler.isIdle else { return }
        // Without it nothing that is late is ever noticed.
        if scenario.isDefended { reader.scheduler.tick(now: queue.now) }
        act(reader)
    }

    func decide(_ reader: ReadingNode) {
        reader.isActing = false
        let actions = reader.scheduler.advance(now: queue.now) { reader.leaves(of: $0.address) }
        for action in actions {
            switch action {
            case .request(let id, let peer, let key, let leaves, let bulk):
                ask(reader, id, peer, key.address, leaves, bulk: bulk)
            case .requestLayer(let id, let peer, let key):
                askLayer(reader, id, peer, key.shard)
            case .cancel(let id, let peer):
                guard let holder = reader.peers[peer] else { continue }
                lines.cancel(from: holder, to: reader.line) { parcel in
                    guard frames[parcel.id]?.request == id else { return false }
                    frames[parcel.id] = nil
                    return true
                }
            case .rebuild(let key, _, let columns):
                queue.schedule(
                    .rebuilt(reader.number, key.address, columns: columns), after: 0.002)
            }
        }
        if !reader.isTicking, !reader.scheduler.isIdle {
            reader.isTicking = true
            queue.schedule(.tick(reader.number), after: Self.tickSeconds)
        }
    }

    private func ask(
        _ reader: ReadingNode, _ id: UInt32, _ peer: PeerConnection.ID, _ address: CellAddress,
        _ leaves: Range<Int>, bulk: Bool
    ) {
        guard let number = reader.peers[peer] else { return }
        let holder = holders[number]
        // For a read that waits, other cells of its row are asked for as well.
        if holder.isLying(about: address.shard), !bulk, let read = reader.read,
            blob.geometry.row(of: read.piece.address) == blob.geometry.row(of: address)
        {
            reader.read?.askedInVain = true
        }
        let way = 2 * spreadLatency(number, reader.line)
        switch holder.manner {
        case .claims(answers: false): break
        case .slow(let from) where queue.now >= from:
            sendSlowly(reader, id, peer, address, leaves, by: number, way: way)
        default:
            guard holder.shards.contains(address.shard) else {
                return queue.schedule(.refused(reader.number, id, peer), after: way)
            }
            send(reader, id, peer, address, leaves, by: number)
        }
    }

    private func frame(
        _ reader: ReadingNode, _ id: UInt32, _ peer: PeerConnection.ID, _ address: CellAddress,
        _ leaves: Range<Int>, by manner: ReadingHolder.Manner
    ) -> Frame {
        var wrong: Int?
        if case .flips(let part) = manner {
            wrong = leaves.first { _ in generator.chance(part) }
        }
        return Frame(
            request: id, reader: reader.number, connection: peer, address: address,
            leaves: leaves, wrongLeaf: wrong)
    }

    /// Puts the frames of an answer into the holder's line.
    private func send(
        _ reader: ReadingNode, _ id: UInt32, _ peer: PeerConnection.ID, _ address: CellAddress,
        _ leaves: Range<Int>, by number: Int
    ) {
        for part in leaves.parts(of: Limits.bulkFrameLeavesMax) {
            frames[nextFrame] = frame(
                reader, id, peer, address, part, by: holders[number].manner)
            let parcel = Lines.Parcel(
                id: nextFrame, source: number, target: reader.line,
                bytes: part.count * Limits.leafBytes)
            nextFrame += 1
            if let free = lines.send(parcel, now: queue.now) {
                queue.schedule(.lineFree(number, cuts: lines.cuts(number)), at: free)
            }
        }
    }

    /// The same over a line and a way that are a hundred times slower.
    private func sendSlowly(
        _ reader: ReadingNode, _ id: UInt32, _ peer: PeerConnection.ID, _ address: CellAddress,
        _ leaves: Range<Int>, by number: Int, way: Instant
    ) {
        let rate = lines.upload(number) / ReadingHolder.slowness
        for part in leaves.parts(of: Limits.bulkFrameLeavesMax) {
            let free =
                max(holders[number].busyUntil, queue.now)
                + Double(part.count * Limits.leafBytes) / rate
            holders[number].busyUntil = free
            queue.schedule(
                .arrived(frame(reader, id, peer, address, part, by: .honest)),
                at: free + ReadingHolder.slowness * way)
        }
    }

    private func askLayer(
        _ reader: ReadingNode, _ id: UInt32, _ peer: PeerConnection.ID, _ shard: ShardIndex
    ) {
        guard let number = reader.peers[peer] else { return }
        var way = 2 * spreadLatency(number, reader.line)
        var isWrong = false
        switch holders[number].manner {
        case .claims(answers: false): return
        case .claims(answers: true), .knowsOthers:
            return queue.schedule(.refused(reader.number, id, peer), after: way)
        case .slow(let from) where queue.now >= from: way *= ReadingHolder.slowness
        case .flips(let part): isWrong = generator.chance(part)
        case .slow, .honest, .boasts: break
        }
        queue.schedule(
            .layer(reader.number, id, peer, shard, isWrong: isWrong), after: way)
    }

    // MARK: What came

    /// Leaves came: checked against the tree, kept, and told to the scheduler.
    func came(_ frame: Frame) {
        let reader = readers[frame.reader]
        guard let holder = reader.peers[frame.connection],
            let cell = blob.cells[frame.address]
        else { return }
        if isCounting { figures.cameBytes += frame.leaves.count * Limits.leafBytes }
        let expected = reader.scheduler.expectation(frame.request, from: frame.connection)
        guard let expected, expected.leaves.isSuperset(of: LeafSet(frame.leaves)) else { return }
        guard let layer = reader.layers[frame.address.shard] else {
            reader.scheduler.refused(
                frame.request, by: frame.connection, reason: .unspecified, now: queue.now)
            return act(reader)
        }
        var bytes = cell.part(frame.leaves).bytes
        if let wrong = frame.wrongLeaf {
            let start = (wrong - frame.leaves.lowerBound) * Limits.leafBytes
            bytes[start + Int(generator.next() % UInt64(Limits.leafBytes))] ^= 1
        }
        let leafCount = blob.geometry.leafCount(frame.address)
        let verified = layer.verify(
            address: frame.address, leaves: frame.leaves, bytes: bytes,
            proof: HashTree.rangeProof(leafHashes: cell.leafHashes, range: frame.leaves),
            leafCount: leafCount)
        guard let verified else { return blame(reader, holder) }
        if frame.wrongLeaf != nil { violations.append("a flipped bit passed as verified") }
        reader.plan.proved(frame.connection)
        reader.scheduler.arrived(frame.request, leaves: LeafSet(frame.leaves), now: queue.now)
        keep(reader, verified)
    }

    private func keep(_ reader: ReadingNode, _ leaves: VerifiedLeaves) {
        reader.present[leaves.address, default: []].append(leaves)
        reader.scheduler.got(ReadingNode.key(leaves.address), LeafSet(leaves.leaves))
        if let read = reader.read, read.piece.address == leaves.address { finish(reader) }
        act(reader)
    }

    func layerCame(
        _ reader: ReadingNode, _ id: UInt32, _ peer: PeerConnection.ID, _ shard: ShardIndex,
        isWrong: Bool
    ) {
        guard let holder = reader.peers[peer],
            reader.scheduler.layerExpectation(id, from: peer) != nil
        else { return }
        var hashes = blob.layers[shard.rawValue].cellHashes
        if isWrong { hashes[0] = .zero }
        let layer = CellLayer(
            shard: shard, cellHashes: hashes, geometry: blob.geometry,
            root: blob.layers[shard.rawValue].root)
        guard let layer else { return blame(reader, holder) }
        reader.layers[shard] = layer
        reader.scheduler.layerArrived(FetchScheduler.ShardKey(ReadingNode.blob, shard))
        act(reader)
    }

    func rebuilt(_ reader: ReadingNode, _ address: CellAddress, _ columns: [Int]) {
        let geometry = blob.geometry
        let all = LeafSet(first: geometry.leafCount(address))
        let row = geometry.row(of: address)
        let sources = columns.compactMap { column -> VerifiedLeaves? in
            let parts = reader.present[geometry.address(row: row, column: column)] ?? []
            return VerifiedLeaves.joined(parts, leafCount: all.count)
        }
        if let layer = reader.layers[address.shard], sources.count == columns.count,
            let whole = try? VerifiedLeaves.rebuilt(
                address, from: sources, layer: layer, geometry: geometry)
        {
            return keep(reader, whole)
        }
        reader.scheduler.rebuildFailed(ReadingNode.key(address), all, now: queue.now)
        act(reader)
    }
}
