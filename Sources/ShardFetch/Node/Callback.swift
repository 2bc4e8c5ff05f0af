internal import Synchronization

/// What another part is to be asked or told, named when both parts exist; for any thread.
///
/// The function is in a structure of its own for a reason. A function that is itself the value of
/// a `Mutex` is wrapped anew by every look at it, from its own calling convention to the generic
/// one and back, and what is put back has both wrappings: each call takes longer than the one
/// before, and some ten thousand later the stack is full.
final class Callback<Argument, Result>: Sendable {
    private struct Function: Sendable {
        let call: @Sendable (Argument) -> Result
    }

    private let function = Mutex<Function?>(nil)

    /// Whether anybody is to be called.
    var isSet: Bool { function.withLock { $0 != nil } }

    /// Names who is to be called from now on; nil: nobody.
    func set(_ body: (@Sendable (Argument) -> Result)?) {
        function.withLock { $0 = body.map { Function(call: $0) } }
    }

    /// Calls it outside the lock; nil where nobody is to be called.
    @discardableResult
    func callAsFunction(_ argument: Argument) -> Result? {
        function.withLock { $0 }?.call(argument)
    }
}
