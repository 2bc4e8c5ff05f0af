internal import Logging
internal import PetalsCodec
internal import PetalsCore
internal import Synchronization

/// Fetches sealed manifests and descriptors by their digest, from whoever has them; and the records
/// of public files by the SHA-256 of their content (`find`).
///
/// One peer is asked at a time, the next one when it refuses, goes away, or keeps silent for two
/// seconds. What comes is believed when its SHA-256 is the digest.
final class DocumentFetcher: Sendable {
    private struct Pending {
        let connection: PeerConnection
        let bytesMax: Int
        /// When the question is over, however it goes.
        let end: Instant
        var bytes: [UInt8] = []
        var progressAt: Instant
        let continuation: CheckedContinuation<[UInt8]?, Never>
    }

    private struct State {
        var connections: [PeerConnection.ID: PeerConnection] = [:]
        var pending: [UInt32: Pending] = [:]
        /// Apart from the scheduler's, which count up from 1.
        var nextRequest: UInt32 = 1 << 31
    }

    /// Seconds without a byte after which the next peer is asked.
    static let silenceSecondsMax: Instant = 2
    /// Pause before all peers are asked again.
    static let roundPause = Duration.milliseconds(200)

    private let state = Mutex(State())
    let logger: Logger
    let blame: @Sendable (PeerConnection, String) -> Void

    /// The peers that can be asked.
    var connections: [PeerConnection] { state.withLock { Array($0.connections.values) } }

    init(logger: Logger, blame: @escaping @Sendable (PeerConnection, String) -> Void) {
        self.logger = logger
        self.blame = blame
    }

    func connectionOpened(_ connection: PeerConnection) {
        state.withLock { $0.connections[connection.id] = connection }
    }

    func connectionClosed(_ connection: PeerConnection) {
        let gone = state.withLock { state -> [Pending] in
            state.connections[connection.id] = nil
            let ids = state.pending.filter { $0.value.connection.id == connection.id }.keys
            return ids.compactMap { state.pending.removeValue(forKey: $0) }
        }
        for pending in gone { pending.continuation.resume(returning: nil) }
    }

    // MARK: Asking

    /// Waits until some peer gives the document; ends only with it or with the task.
    ///
    /// - Throws: `PetalsError.cancelled`.
    func fetch(_ digest: Digest, bytesMax: Int) async throws(PetalsError) -> [UInt8] {
        while true {
            for connection in connections {
                if let bytes = await fetch(digest, from: connection, bytesMax: bytesMax) {
                    return bytes
                }
                if Task.isCancelled { break }
            }
            do {
                try await Task.sleep(for: Self.roundPause)
            } catch {
                throw PetalsError(.cancelled, "nobody was asked for \(digest.short) any more")
            }
        }
    }

    /// Asks one peer for a document; nil where it has none to give.
    func fetch(
        _ digest: Digest, from connection: PeerConnection, bytesMax: Int, end: Instant = .infinity
    ) async -> [UInt8]? {
        let answer = await ask(connection, bytesMax: bytesMax, end: end) {
            .getDocument(request: $0, digest: digest)
        }
        guard let bytes = answer else { return nil }
        guard sha256(bytes) == digest else {
            blame(connection, "its document is not the one named \(digest.short)")
            return nil
        }
        return bytes
    }

    /// Asks one peer a question that is answered by a document.
    ///
    /// - Parameter question: the message with this number.
    /// - Returns: what it sent, unchecked; nil where it refuses, goes away, keeps silent, or `end`
    ///   has come.
    func ask(
        _ connection: PeerConnection, bytesMax: Int, end: Instant = .infinity,
        _ question: (_ request: UInt32) -> ControlMessage
    ) async -> [UInt8]? {
        let request = state.withLock { state in
            state.nextRequest = max(state.nextRequest &+ 1, 1 << 31)
            return state.nextRequest
        }
        let message = question(request)
        let watchdog = Task { [weak self] in
            while (try? await Task.sleep(for: .milliseconds(250))) != nil {
                // Cancelled: the question is over.
                guard self?.giveUpIfSilent(request) == false else { return }
            }
        }
        let bytes = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isOpen = state.withLock { state in
                    guard state.connections[connection.id] != nil else { return false }
                    state.pending[request] = Pending(
                        connection: connection, bytesMax: bytesMax, end: end,
                        progressAt: MonotonicClock.now, continuation: continuation)
                    return true
                }
                guard isOpen else { return continuation.resume(returning: nil) }
                // A cancellation that came before the line above found nothing to finish.
                guard !Task.isCancelled else { return finish(request, with: nil) }
                connection.send(message)
            }
        } onCancel: {
            finish(request, with: nil)
        }
        watchdog.cancel()
        return bytes
    }

    private func giveUpIfSilent(_ request: UInt32) -> Bool {
        let silent = state.withLock { state in
            guard let pending = state.pending[request] else { return true }
            let now = MonotonicClock.now
            return now - pending.progressAt > Self.silenceSecondsMax || now >= pending.end
        }
        if silent { finish(request, with: nil) }
        return silent
    }

    private func finish(_ request: UInt32, with bytes: [UInt8]?) {
        let pending = state.withLock { $0.pending.removeValue(forKey: request) }
        pending?.continuation.resume(returning: bytes)
    }

    // MARK: Answers

    /// Handles a frame that answers something of ours; false when it is none of this room's.
    func receive(_ frame: InboundFrame, from connection: PeerConnection) -> Bool {
        switch frame {
        case .control(.refuse(let request, _)) where request >= 1 << 31:
            if isExpected(request, from: connection) { finish(request, with: nil) }
        case .document(let header, let chunk):
            receive(header, chunk, from: connection)
        default: return false
        }
        return true
    }

    private func isExpected(_ request: UInt32, from connection: PeerConnection) -> Bool {
        state.withLock { $0.pending[request]?.connection.id == connection.id }
    }

    private func receive(
        _ header: DocumentHeader, _ chunk: [UInt8], from connection: PeerConnection
    ) {
        let step = state.withLock { state -> (whole: [UInt8]?, sound: Bool) in
            guard var pending = state.pending[header.request],
                pending.connection.id == connection.id
            else { return (nil, true) }
            guard header.total <= pending.bytesMax, header.offset == pending.bytes.count else {
                return (nil, false)
            }
            pending.bytes.append(contentsOf: chunk)
            pending.progressAt = MonotonicClock.now
            state.pending[header.request] = pending
            return (pending.bytes.count == header.total ? pending.bytes : nil, true)
        }
        if let whole = step.whole { finish(header.request, with: whole) }
        if !step.sound {
            finish(header.request, with: nil)
            blame(connection, "it sends a document that is too large or out of order")
        }
    }
}
