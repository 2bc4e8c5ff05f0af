internal import AsyncHTTPClient
internal import Foundation
internal import NIOCore
internal import NIOHTTP1
internal import PetalsCore

/// Brings a request to the node that runs on a state folder.
struct ControlClient {
    let socketPath: String

    /// A socket is there or it is not: trying again for a minute, as one does with servers of the
    /// web, would only keep a person waiting.
    private static let client: HTTPClient = {
        var configuration = HTTPClient.Configuration.singletonConfiguration
        configuration.connectionPool.retryConnectionEstablishment = false
        return HTTPClient(configuration: configuration)
    }()

    /// Sends a request and hands over its events as they come.
    ///
    /// - Throws: `PetalsError.unavailable` where nobody answers; whatever the node failed with.
    func perform(
        _ request: ControlRequest, progress: (Int, Int) -> Void
    ) async throws -> ControlResult {
        guard let url = URL(httpURLWithSocketPath: socketPath, uri: "/v1/perform") else {
            throw PetalsError(.badInput, "\(socketPath) cannot be the path of a socket")
        }
        var message = HTTPClientRequest(url: url.absoluteString)
        message.method = .POST
        message.body = .bytes(try JSONEncoder.petals.encode(request))
        let response: HTTPClientResponse
        do {
            response = try await Self.client.execute(message, timeout: .hours(24 * 7))
        } catch {
            throw PetalsError(
                .unavailable,
                "the node that uses this state folder does not answer on \(socketPath); it may be "
                    + "starting or stopping, try again")
        }
        var pending: [UInt8] = []
        for try await chunk in response.body {
            pending.append(contentsOf: chunk.readableBytesView)
            while let end = pending.firstIndex(of: UInt8(ascii: "\n")) {
                let line = Data(pending[..<end])
                pending.removeSubrange(...end)
                switch try JSONDecoder().decode(ControlEvent.self, from: line) {
                case .progress(let done, let total): progress(done, total)
                case .result(let result): return result
                case .failure(let code, let message):
                    throw PetalsError(PetalsError.Code(rawValue: code) ?? .system, message)
                }
            }
        }
        throw PetalsError(.unavailable, "the node stopped before it was done; start it again")
    }
}
