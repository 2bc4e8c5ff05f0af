internal import AsyncHTTPClient
internal import Foundation
internal import NIOCore
internal import NIOHTTP1
internal import PetalsCore

/// Brings a request to the node that runs on a state folder.
struct ControlClient {
    let socketPath: String

    /// Sends a request and hands over its events as they come.
    ///
    /// - Throws: `PetalsError.unavailable` where nobody answers; whatever the node failed with.
    func perform(
        _ request: ControlRequest, progress: (Int, Int) -> Void,
        note: (String) -> Void = { _ in }
    ) async throws -> ControlResult {
        // A node that is not there is an answer, not something to try again for a week.
        var configuration = HTTPClient.Configuration()
        configuration.connectionPool.retryConnectionEstablishment = false
        let client = HTTPClient(configuration: configuration)
        do {
            let result = try await perform(request, with: client, progress: progress, note: note)
            try await client.shutdown()
            return result
        } catch {
            try await client.shutdown()
            throw error
        }
    }

    private func perform(
        _ request: ControlRequest, with client: HTTPClient, progress: (Int, Int) -> Void,
        note: (String) -> Void
    ) async throws -> ControlResult {
        guard let url = URL(httpURLWithSocketPath: socketPath, uri: "/v1/perform") else {
            throw PetalsError(.badInput, "\(socketPath) cannot be the path of a socket")
        }
        var message = HTTPClientRequest(url: url.absoluteString)
        message.method = .POST
        message.body = .bytes(try JSONEncoder.petals.encode(request))
        let response: HTTPClientResponse
        do {
            response = try await client.execute(message, timeout: .hours(24 * 7))
        } catch {
            throw PetalsError(
                .unavailable,
                "the node that uses this state folder does not answer on \(socketPath); it may be "
                    + "starting or stopping, try again")
        }
        guard response.status == .ok else {
            throw ControlResult.otherVersion("HTTP status \(response.status.code)")
        }
        var pending: [UInt8] = []
        for try await chunk in response.body {
            pending.append(contentsOf: chunk.readableBytesView)
            while let end = pending.firstIndex(of: UInt8(ascii: "\n")) {
                let line = Data(pending[..<end])
                pending.removeSubrange(...end)
                guard let event = try? JSONDecoder().decode(ControlEvent.self, from: line) else {
                    throw ControlResult.otherVersion("it is none of those known here")
                }
                switch event {
                case .progress(let done, let total): progress(done, total)
                case .note(let text): note(text)
                case .result(let result): return result
                case .failure(let code, let message):
                    throw PetalsError(PetalsError.Code(rawValue: code) ?? .system, message)
                }
            }
        }
        throw PetalsError(.unavailable, "the node stopped before it was done; start it again")
    }
}
