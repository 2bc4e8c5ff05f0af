internal import Glibc

/// A lock that whoever comes first may take, for what every read touches.
///
/// Swift's `Mutex` is a futex with priority inheritance on Linux: a lock that somebody waits for is
/// handed to him, though he has yet to be woken, and everybody who comes meanwhile waits too. Ten
/// threads on two cores that read cached cells then go in step, one context switch a lock: 300 MB/s
/// instead of 2 GB/s, measured. This one is glibc's plain mutex, which a running thread takes while
/// another is being woken (docs/decisions/20-unfair-locks.md).
///
/// Hold it for nanoseconds, never during disk work, and never take it twice.
@safe package final class UnfairLock<Value: Sendable>: @unchecked Sendable {
    // Sendable: the value is touched only by the thread that has the mutex.
    // SAFETY: made in `init`, destroyed in `deinit`; its address never changes meanwhile.
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private var value: Value

    /// Makes a lock around a value, which is reachable through it alone.
    package init(_ value: Value) {
        self.value = value
        // SAFETY: freed in `deinit`.
        unsafe mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
        // SAFETY: the memory is this object's. Default attributes cannot fail on Linux.
        let result = unsafe pthread_mutex_init(mutex, nil)
        precondition(result == 0)
    }

    deinit {
        // SAFETY: nobody has the lock when its last owner lets go of it.
        unsafe pthread_mutex_destroy(mutex)
        // SAFETY: allocated in `init`.
        unsafe mutex.deallocate()
    }

    /// Runs `body` with the value while nobody else does.
    package func withLock<Result, Failure: Error>(
        _ body: (inout Value) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        // SAFETY: the mutex lives as long as this object, which the call keeps.
        let result = unsafe pthread_mutex_lock(mutex)
        precondition(result == 0)
        defer {
            // SAFETY: as above; this thread has it.
            _ = unsafe pthread_mutex_unlock(mutex)
        }
        return try body(&value)
    }
}
