/// Where answers go: libfuse, or a recorder in tests.
///
/// One port serves a whole session, so that making a reply allocates nothing.
///
/// Safe: bytes are lent to `sendBytes` for the time of the call, and nothing else is unsafe here.
@safe struct ReplyPort: Sendable {
    /// Sends the bytes of a read, and nothing else, for the request of that address.
    let sendBytes: @Sendable (UInt, UnsafeRawBufferPointer) -> Void
    /// Sends an error.
    let sendError: @Sendable (UInt, Errno) -> Void
    /// Called when a reply is made.
    let opened: @Sendable () -> Void
    /// Called after a reply was answered.
    let settled: @Sendable () -> Void
}

/// The answer owed to one request: exactly one, whatever happens.
///
/// Answering consumes it. One that is dropped answers EIO, so that no process waits for ever
/// because of a path somebody forgot.
package struct FuseReply: ~Copyable, Sendable {
    /// The address of libfuse's request.
    ///
    /// A number, since pointers cannot change threads in Swift, and libfuse allows any thread to
    /// answer.
    let request: UInt
    private let port: ReplyPort
    private var owed = true

    init(request: UInt, port: ReplyPort) {
        self.request = request
        self.port = port
        port.opened()
    }

    deinit {
        guard owed else { return }
        port.sendError(request, .inputOutput)
        port.settled()
    }

    /// Answers a read.
    consuming func answer(bytes: UnsafeRawBufferPointer) {
        owed = false
        // SAFETY: the port copies the bytes before it returns; the caller's buffer lives as long.
        unsafe port.sendBytes(request, bytes)
        port.settled()
    }

    /// Answers with an error.
    consuming func answer(error: Errno) {
        owed = false
        port.sendError(request, error)
        port.settled()
    }

    /// Answers by a call of the caller's, which sends exactly one answer for the request it is
    /// given.
    ///
    /// - Returns: what the call returned; libfuse gives 0 or a negative error number.
    @discardableResult
    consuming func answer(by send: (UInt) -> Int32) -> Int32 {
        owed = false
        let result = send(request)
        port.settled()
        return result
    }
}
