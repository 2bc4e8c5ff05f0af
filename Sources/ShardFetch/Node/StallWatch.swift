internal import Logging
internal import PetalsCore
internal import Synchronization

/// Writes one line for each read that waits long, saying what is missing and who could have it, and
/// one when it goes on.
///
/// At most one line a file every ten seconds, so that a thousand waiting reads are one line.
final class StallWatch: Sendable {
    /// Seconds of waiting that are worth a line.
    static let patience = Duration.seconds(5)
    static let quietSeconds: Instant = 10

    private let logger: Logger
    private let lastLine = Mutex<[BlobID: Instant]>([:])
    /// Says who was asked, for the line.
    private let describe: @Sendable (ReadTicket) -> String
    /// Told when a read begins to wait.
    private let waits: @Sendable () -> Void

    init(
        logger: Logger, waits: @escaping @Sendable () -> Void,
        describe: @escaping @Sendable (ReadTicket) -> String
    ) {
        self.logger = logger
        self.waits = waits
        self.describe = describe
    }

    /// Runs a wait and looks after it.
    func watch(
        _ record: FileRecord, range: Range<Int>, ticket: ReadTicket,
        deadline: ContinuousClock.Instant?, wait: () async throws(PetalsError) -> Void
    ) async throws(PetalsError) {
        waits()
        let watcher = Task { [self] in
            // Cancelled, here and below: the read went on in time.
            let patient = min(ContinuousClock.now + Self.patience, deadline ?? .now + Self.patience)
            guard (try? await Task.sleep(until: patient)) != nil else { return }
            report(record, range: range, ticket: ticket)
            guard let deadline, (try? await Task.sleep(until: deadline)) != nil else { return }
            ticket.fail(
                PetalsError(
                    .timedOut,
                    "bytes \(range) of blob \(record.blobID.short) did not come in time: "
                        + describe(ticket)))
        }
        defer { watcher.cancel() }
        try await wait()
    }

    private func report(_ record: FileRecord, range: Range<Int>, ticket: ReadTicket) {
        let now = MonotonicClock.now
        let speak = lastLine.withLock { lines in
            guard now - (lines[record.blobID] ?? -.infinity) >= Self.quietSeconds else {
                return false
            }
            lines[record.blobID] = now
            return true
        }
        guard speak else { return }
        logger.warning(
            "a read of bytes \(range) of blob \(record.blobID.short) waits: \(describe(ticket))")
    }
}
