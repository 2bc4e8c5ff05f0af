internal import PetalsCodec
internal import PetalsCore
internal import Synchronization

/// One reader's wait for leaves: which are still missing, and those that came.
///
/// The ticket keeps what it was given, so that nothing that happens to caches meanwhile can take it
/// away again.
final class ReadTicket: Sendable {
    private struct State {
        var missing: [FetchScheduler.CellKey: LeafSet] = [:]
        var parts: [FetchScheduler.CellKey: [VerifiedLeaves]] = [:]
        var outcome: Result<Void, PetalsError>?
        var waiter: CheckedContinuation<Void, Never>?
    }

    private let state: Mutex<State>
    /// The cells that the ticket was made for.
    let cells: [FetchScheduler.CellKey]

    init(missing: [FetchScheduler.CellKey: LeafSet]) {
        cells = Array(missing.keys)
        state = Mutex(State(missing: missing))
    }

    /// Takes leaves; true when the ticket needs no more of this cell.
    func deliver(_ leaves: VerifiedLeaves, of key: FetchScheduler.CellKey) -> Bool {
        let (done, waiter) = state.withLock { state -> (Bool, CheckedContinuation<Void, Never>?) in
            guard let missing = state.missing[key] else { return (true, nil) }
            let set = LeafSet(leaves.leaves)
            guard !missing.intersection(set).isEmpty else { return (false, nil) }
            state.parts[key, default: []].append(leaves)
            let rest = missing.subtracting(set)
            state.missing[key] = rest.isEmpty ? nil : rest
            guard state.missing.isEmpty, state.outcome == nil else { return (rest.isEmpty, nil) }
            state.outcome = .success(())
            defer { state.waiter = nil }
            return (true, state.waiter)
        }
        waiter?.resume()
        return done
    }

    /// Ends the wait with an error, unless it is over.
    func fail(_ error: PetalsError) {
        let waiter = state.withLock { state -> CheckedContinuation<Void, Never>? in
            guard state.outcome == nil else { return nil }
            state.outcome = .failure(error)
            defer { state.waiter = nil }
            return state.waiter
        }
        waiter?.resume()
    }

    /// Waits until all is here; to be called once.
    ///
    /// - Throws: what `fail` was given; `PetalsError.cancelled` when the task is cancelled.
    func wait() async throws(PetalsError) {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let resumeNow = state.withLock { state in
                    if state.missing.isEmpty, state.outcome == nil { state.outcome = .success(()) }
                    if state.outcome == nil { state.waiter = continuation }
                    return state.outcome != nil
                }
                if resumeNow { continuation.resume() }
            }
        } onCancel: {
            fail(PetalsError(.cancelled, "the read was interrupted"))
        }
        if let outcome = state.withLock({ $0.outcome }) { try outcome.get() }
    }

    /// What is still missing.
    var missing: [FetchScheduler.CellKey: LeafSet] { state.withLock { $0.missing } }

    /// What came, by cell.
    var parts: [FetchScheduler.CellKey: [VerifiedLeaves]] { state.withLock { $0.parts } }
}
