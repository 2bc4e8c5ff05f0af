package import Logging
internal import PetalsCore
internal import Synchronization

/// Turns reads into answers: at once where the bytes are here, else by one task each.
///
/// Every read is answered exactly once, with all the bytes it asked for up to the end of the file
/// or with an error; there are no short reads.
package final class ReadDispatcher: Sendable {
    private struct Registry {
        var reads: [UInt: PendingRead] = [:]
        var lastID: UInt = 0
        var closed = false
    }

    private let readTimeout: Duration
    private let logger: Logger
    private let buffers = ReadBufferPool()
    private let registry = Mutex(Registry())

    /// How much later than its deadline a read is ended by `expire`, when its content has not: the
    /// content's own error says what is missing and who was asked, and should come first.
    package static let expirySlack = Duration.seconds(2)

    /// Makes a dispatcher whose reads wait for at most `readTimeout`.
    package init(readTimeout: Duration, logger: Logger) {
        self.readTimeout = readTimeout
        self.logger = logger
    }

    /// Reads that wait for bytes at the moment.
    package var pendingCount: Int { registry.withLock { $0.reads.count } }

    /// Answers a read of `count` bytes at `offset`.
    ///
    /// - Parameters:
    ///   - title: what the log calls the file.
    ///   - arm: called before a read starts to wait, with the number by which `interrupt` knows
    ///     it. It may call `interrupt` on this thread before it returns, and must not answer.
    package func read(
        _ content: any FileContent, title: @autoclosure () -> String, offset: Int, count: Int,
        reply: consuming FuseReply, arm: (UInt) -> Void
    ) {
        guard offset >= 0, count >= 0 else { return reply.answer(error: .invalid) }
        let end = min(content.size, offset.addingReportingOverflow(count).partialValue)
        let range = offset..<max(offset, offset > Int.max - count ? content.size : end)
        guard !range.isEmpty else {
            // SAFETY: an empty buffer without a base address is never read.
            return unsafe reply.answer(bytes: UnsafeRawBufferPointer(start: nil, count: 0))
        }
        var slot: FuseReply? = consume reply
        do {
            // SAFETY: the pool's buffer has `range.count` bytes and is ours during the call; the
            // content promises to have written all of it when it says true.
            try unsafe buffers.withBuffer(count: range.count) { buffer throws(PetalsError) in
                if try unsafe content.readIfPresent(range, into: buffer) {
                    let bytes = UnsafeRawBufferPointer(buffer)
                    unsafe slot.take()?.answer(bytes: bytes)
                }
            }
        } catch {
            log(error, title: title(), range: range)
            slot.take()?.answer(error: error.code.errno)
        }
        if let reply = slot.take() {
            wait(content, title: title(), range: range, reply: reply, arm: arm)
        }
    }

    /// Ends a waiting read with EINTR, at once.
    ///
    /// A number that is not waiting (any more) does nothing.
    package func interrupt(_ id: UInt) {
        let read = registry.withLock { $0.reads.removeValue(forKey: id) }
        read?.end(cancel: true)?.answer(error: .interrupted)
    }

    /// Ends reads whose content has let their deadline pass by more than `expirySlack`.
    package func expire(now: ContinuousClock.Instant) {
        let limit = now - Self.expirySlack
        let late = registry.withLock { registry in
            let late = registry.reads.filter { $0.value.deadline <= limit }
            for id in late.keys { registry.reads[id] = nil }
            return late.values
        }
        for read in late {
            guard let reply = read.end(cancel: true) else { continue }
            logger.warning("\(read.title): a read waited \(readTimeout) for bytes; it fails now")
            reply.answer(error: .inputOutput)
        }
    }

    /// Ends all waiting reads, and every later one that would have to wait, with EIO.
    package func close() {
        let reads = registry.withLock { registry in
            registry.closed = true
            defer { registry.reads = [:] }
            return registry.reads.values
        }
        for read in reads {
            read.end(cancel: true)?.answer(error: .inputOutput)
        }
    }

    // MARK: Waiting

    private func wait(
        _ content: any FileContent, title: String, range: Range<Int>,
        reply: consuming FuseReply, arm: (UInt) -> Void
    ) {
        let deadline = ContinuousClock.now + readTimeout
        let read = PendingRead(deadline: deadline, title: title)
        let id: UInt? = registry.withLock { registry in
            guard !registry.closed else { return nil }
            registry.lastID += 1
            registry.reads[registry.lastID] = read
            return registry.lastID
        }
        guard let id else { return reply.answer(error: .inputOutput) }
        // libfuse runs the interrupt function inside `arm` where the interrupt has come already,
        // and would free the request under its own feet were it answered there. So the reply is
        // handed over only now; until then, an interrupt leaves no more than a mark.
        arm(id)
        if let reply = read.begin(reply) {
            return reply.answer(error: .interrupted)
        }
        let task = Task { await self.fetch(content, range: range, id: id, read: read) }
        read.attach(task)
    }

    private func fetch(
        _ content: any FileContent, range: Range<Int>, id: UInt, read: PendingRead
    ) async {
        let outcome: Result<[UInt8], PetalsError>
        do {
            let bytes = try await content.read(range, deadline: read.deadline)
            outcome =
                bytes.count == range.count
                ? .success(bytes)
                : .failure(
                    PetalsError(
                        .system, "\(bytes.count) bytes came instead of \(range.count); report this")
                )
        } catch {
            outcome = .failure(error)
        }
        registry.withLock { _ = $0.reads.removeValue(forKey: id) }
        guard let reply = read.end(cancel: false) else { return }
        switch outcome {
        case .success(let bytes):
            var slot: FuseReply? = consume reply
            // SAFETY: the array owns the bytes until the closure returns; the answer copies them.
            unsafe bytes.withUnsafeBytes { unsafe slot.take()?.answer(bytes: $0) }
        case .failure(let error):
            log(error, title: read.title, range: range)
            reply.answer(error: error.code.errno)
        }
    }

    private func log(_ error: PetalsError, title: String, range: Range<Int>) {
        logger.log(
            level: error.code.logLevel,
            """
            \(title): reading \(range.count) bytes at \(range.lowerBound) failed: \
            \(error.message)
            """)
    }
}
