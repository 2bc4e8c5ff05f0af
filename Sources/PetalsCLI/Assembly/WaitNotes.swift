internal import Foundation
internal import PetalsCore
internal import ShardFetch
internal import Synchronization

/// Says what a command waits for, where that lasts: whoever sees nothing cannot tell a node that
/// works from one that has nobody to ask.
final class WaitNotes: Sendable {
    /// Seconds until the first note, and between two looks after it.
    private static let firstSeconds = 2.0
    private static let nextSeconds = 5.0

    private let note: @Sendable (String) -> Void
    private let progress: @Sendable (Int, Int) -> Void
    private let state = Mutex((done: 0, total: 0, reportedAt: -1))

    init(
        note: @escaping @Sendable (String) -> Void,
        progress: @escaping @Sendable (Int, Int) -> Void
    ) {
        self.note = note
        self.progress = progress
    }

    /// Takes note of progress, and passes it on.
    func update(done: Int, total: Int) {
        state.withLock { ($0.done, $0.total) = (done, total) }
        progress(done, total)
    }

    /// Carries out what may have to wait for peers.
    ///
    /// - Parameters:
    ///   - name: the model's, or what else stands for it.
    ///   - id: its manifest.
    func during<Value: Sendable>(
        _ name: String, _ id: ManifestID, _ node: Node,
        _ body: () async throws(PetalsError) -> Value
    ) async throws(PetalsError) -> Value {
        let watching = Task { [self] in
            var said: String?
            var pause = Self.firstSeconds
            // Cancelled: there is nothing to wait for any more.
            while (try? await Task.sleep(for: .seconds(pause))) != nil {
                pause = Self.nextSeconds
                guard let text = lacks(name, id, node), text != said else { continue }
                note(text)
                said = text
            }
        }
        defer { watching.cancel() }
        return try await body()
    }

    /// What is missing now; nil where something came since the last look.
    private func lacks(_ name: String, _ id: ManifestID, _ node: Node) -> String? {
        if let lack = node.lacks(manifest: id) {
            return "waiting for the manifest of “\(ModelPath.printable(name))”: \(lack)"
        }
        let (done, total, stands) = state.withLock { state in
            defer { state.reportedAt = state.done }
            return (state.done, state.total, state.done == state.reportedAt)
        }
        guard stands, total > 0, done < total else { return nil }
        return "waiting for “\(ModelPath.printable(name))”: \(ByteCount(done)) of "
            + "\(ByteCount(total)) are here, and nothing more comes (\(node.connectedPeers)); "
            + "start a holder, or name one with --peer"
    }
}
