internal import Foundation
internal import Hummingbird
internal import Logging
internal import PetalsCore
internal import PetalsStore

/// Serves `ControlRequest`s on the unix socket of a state folder; only its owner can reach it.
struct ControlServer {
    /// The kernel's limit on the path of a unix socket, with its terminating zero.
    static let pathBytesMax = 107
    /// A request is a few hundred bytes; a path may be 4 KiB.
    static let requestBytesMax = 64 << 10

    let service: NodeService
    let path: String
    let logger: Logger

    /// Serves until the task is cancelled.
    func run() async throws {
        guard path.utf8.count <= Self.pathBytesMax else {
            throw PetalsError(
                .badInput,
                "the state folder's path is too long for a socket in it (\(path)); give a shorter "
                    + "--state")
        }
        // A node that was killed leaves its socket; we hold the lock, so it is nobody's now.
        try? FileManager.default.removeItem(atPath: path)
        let router = Router()
        let service = service
        router.post("v1/perform") { request, _ -> Response in
            let body = try await request.body.collect(upTo: Self.requestBytesMax)
            let order = try JSONDecoder().decode(
                ControlRequest.self, from: Data(body.readableBytesView))
            return Response(
                status: .ok, headers: [.contentType: "application/x-ndjson"],
                body: ResponseBody { writer in
                    for await event in service.events(for: order) {
                        var line = try JSONEncoder.petals.encode(event)
                        line.append(UInt8(ascii: "\n"))
                        try await writer.write(ByteBuffer(bytes: line))
                    }
                    try await writer.finish(nil)
                })
        }
        let application = Application(
            router: router,
            configuration: .init(
                address: .unixDomainSocket(path: path), serverName: "petalsfs"),
            logger: Logger(label: "control") { _ in SwiftLogNoOpLogHandler() })
        try await application.runService(gracefulShutdownSignals: [])
    }
}
