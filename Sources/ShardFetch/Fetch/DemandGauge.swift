internal import Synchronization

/// How many reads of this node wait for bytes at the moment, for whatever is to yield to them.
final class DemandGauge: Sendable {
    private let waiting = Atomic<Int>(0)
    private let over = Callback<Void, Void>()

    /// Whether any read waits.
    var isWaiting: Bool { waiting.load(ordering: .sequentiallyConsistent) > 0 }

    /// A read begins to wait.
    func begin() { waiting.wrappingAdd(1, ordering: .relaxed) }

    /// A read waits no longer.
    func end() {
        guard waiting.wrappingSubtract(1, ordering: .sequentiallyConsistent).newValue == 0 else {
            return
        }
        over(())
    }

    /// Has `body` called whenever the last waiting read has what it wanted.
    func whenOver(_ body: @escaping @Sendable () -> Void) {
        over.set(body)
    }
}
