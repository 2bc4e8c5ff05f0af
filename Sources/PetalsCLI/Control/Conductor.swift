internal import Foundation
internal import Logging
internal import PetalsCore
internal import PetalsStore
internal import ShardFetch

/// Has a request carried out: by the node that runs on the state folder, or by this process.
struct Conductor {
    let options: CommonOptions
    /// For a node of this process's own, where the request needs peers and no node runs.
    var network = NodeConfiguration()
    /// What a progress bar is headed with; nil for none.
    var title: String?

    /// Carries out a request.
    ///
    /// - Throws: `PetalsError`.
    func perform(_ request: ControlRequest) async throws -> ControlResult {
        let bar = title.map { ProgressBar($0, isQuiet: options.quiet) }
        defer { bar?.finish() }
        let log = options.makeLogger(normal: .notice)
        let note = { @Sendable (text: String) in
            // On a line of its own; the bar comes back with the next progress.
            bar?.finish()
            log.notice("\(text)")
        }
        if try StateFolder.holder(of: options.state) != nil {
            let client = ControlClient(socketPath: options.state + "/control.sock")
            return try await client.perform(
                request, progress: { bar?.update(done: $0, total: $1) }, note: note)
        }
        if try !StateFolder.exists(at: options.state),
            let answer = try request.answer(withoutFolder: options.state)
        {
            return answer
        }
        let service = try NodeService(
            statePath: options.state, logger: options.makeLogger(normal: .warning))
        if request.needsNetwork {
            try await service.startNode(network)
        }
        do {
            let result = try await service.perform(
                request.inForeground, progress: { bar?.update(done: $0, total: $1) }, note: note)
            await service.stop(clearCache: false)
            return result
        } catch {
            await service.stop(clearCache: false)
            throw error
        }
    }
}
