internal import Logging
internal import NIOPosix
internal import PetalsCore
internal import PetalsStore
internal import Synchronization

extension CreditKeeper {
    /// What has changed since the books were written.
    struct Unkept {
        var peers: Set<PeerID> = []
        var closed: Set<PeerID> = []
        var evidence: [CreditEvidence] = []
        /// Mills that passed, either way.
        var mills = Mills.zero
        var since: Instant?
        /// Whether something waits that has to be on the disk before its effects leave this node.
        var isUrgent = false
        /// What to do when it is; it is told whether it is.
        var waiting: [@Sendable (Bool) -> Void] = []

        mutating func note(_ entry: CreditEntry, now: Instant) {
            if since == nil { since = now }
            isUrgent = isUrgent || entry.isUrgent
            peers.insert(entry.peer)
            switch entry.change {
            case .gave(_, let passed), .took(_, let passed, _): mills += passed
            case .equivocated(let first, let second):
                evidence.append(CreditEvidence(first: first, second: second, seenAt: entry.at))
            case .reassigned(let other, _, _, _), .spent(let other, _), .gained(let other, _):
                peers.insert(other)
            case .evicted:
                peers.remove(entry.peer)
                closed.insert(entry.peer)
            case .met, .sequences, .recalled, .receipted, .wroteOff, .issued, .violated: break
            }
        }
    }

    /// Mills that may pass before the books are written, and seconds that may.
    static let keepMills = Mills(bytes: 16 << 20)
    static let keepSeconds: Instant = 5

    /// Changes the books and notes what of them is to be written.
    @discardableResult
    func change<Value: Sendable>(_ body: (inout State) -> Value) -> Value {
        let now = MonotonicClock.now
        return state.withLock { state in
            let value = body(&state)
            for entry in state.ledger.takeEntries() { state.unkept.note(entry, now: now) }
            return value
        }
    }

    /// Has the books written if enough has passed, by the thread that waits for the disk.
    func keepInTime() {
        let now = MonotonicClock.now
        let isTime = state.withLock { state in
            state.unkept.mills >= Self.keepMills
                || state.unkept.since.map { now - $0 >= Self.keepSeconds } ?? false
        }
        guard isTime else { return }
        writer.submit { [self] poolState in
            guard case .active = poolState else { return }
            keepNow()
        }
    }

    /// Does something when all that has changed is on the disk, or cannot get there.
    func whenKept(_ body: @escaping @Sendable (Bool) -> Void) {
        state.withLock { $0.unkept.waiting.append(body) }
        writer.submit { [self] poolState in
            guard case .active = poolState else { return }
            keepNow()
        }
    }

    /// Writes the books; on the thread that waits for the disk, of which there is one.
    func keepNow() {
        let unkept = state.withLock { state in
            defer { state.unkept = Unkept() }
            return state.unkept
        }
        let sums = blobs.withLock { blobs in
            defer { blobs = [:] }
            return blobs
        }
        var change = CreditChange()
        change.closed = unkept.closed.sorted()
        change.evidence = unkept.evidence
        change.blobs = sums.values.sorted { $0.blob < $1.blob }
        // As they are now, which may be more than what was noted.
        let accounts = state.withLock { state in
            unkept.peers.compactMap { state.ledger.accounts[$0] }
        }
        change.rows = accounts.map { CreditRow(peer: $0.peer, account: $0.encoded) }
        do throws(PetalsError) {
            try registry.keepCredit(change)
        } catch {
            logger.warning("the books of credit cannot be written: \(error.message)")
            takeBack(unkept, sums)
            for body in unkept.waiting { body(false) }
            return
        }
        for body in unkept.waiting { body(true) }
    }

    /// What could not be written is still to be.
    private func takeBack(_ unkept: Unkept, _ sums: [BlobID: CreditBlobRow]) {
        state.withLock { state in
            state.unkept.peers.formUnion(unkept.peers)
            // An account that was opened again meanwhile stays.
            let closed = unkept.closed.filter { state.ledger.accounts[$0] == nil }
            state.unkept.closed.formUnion(closed)
            state.unkept.evidence += unkept.evidence
            // Not again before some seconds have passed.
            state.unkept.since = MonotonicClock.now
            state.unkept.isUrgent = state.unkept.isUrgent || unkept.isUrgent
        }
        blobs.withLock { blobs in
            for (blob, sum) in sums {
                blobs[blob, default: CreditBlobRow(blob: blob)].add(sum)
            }
        }
    }
}
