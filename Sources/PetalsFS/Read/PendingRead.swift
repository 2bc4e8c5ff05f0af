internal import Synchronization

/// A read that waits for bytes.
///
/// Whoever takes its reply out answers it, and nobody else can.
///
/// Four things can end it: its bytes arrive, it is interrupted, it expires, the mount ends. They
/// race, on different threads; the mutex makes one of them the winner.
final class PendingRead: Sendable {
    private struct State: ~Copyable {
        var reply: FuseReply?
        var task: Task<Void, Never>?
        var ended = false
    }

    let deadline: ContinuousClock.Instant
    /// What the log calls it.
    let title: String
    private let state = Mutex(State())

    init(deadline: ContinuousClock.Instant, title: String) {
        self.deadline = deadline
        self.title = title
    }

    /// Hands the reply over; gives it back where the read was ended before it began.
    func begin(_ reply: consuming FuseReply) -> FuseReply? {
        var slot: FuseReply? = consume reply
        return state.withLock { state in
            if state.ended { return slot.take() }
            state.reply = slot.take()
            return nil
        }
    }

    /// Notes the task that fetches, so that ending the read cancels it; at once where it has ended.
    func attach(_ task: Task<Void, Never>) {
        let late = state.withLock { state in
            state.task = task
            return state.ended
        }
        if late { task.cancel() }
    }

    /// Ends the read: the winner gets the reply, later ones and those before `begin` get nil.
    ///
    /// - Parameter cancel: whether the task is to stop as well.
    func end(cancel: Bool) -> FuseReply? {
        var taken: FuseReply?
        let task = state.withLock { state in
            state.ended = true
            taken = state.reply.take()
            return state.task
        }
        if cancel { task?.cancel() }
        return taken
    }
}
