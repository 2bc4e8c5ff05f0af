internal import Foundation
internal import Glibc
internal import Synchronization
internal import Testing

/// What went wrong while a test arranged its world.
struct Failure: Error, CustomStringConvertible {
    let description: String
}

/// How a child ended, and what it said.
struct Finished {
    /// The exit code, or 128 and the signal, as a shell counts.
    let code: Int
    let output: String
    let errors: String

    /// Standard output without its last line end.
    var text: String { output.hasSuffix("\n") ? String(output.dropLast()) : output }

    /// What it said, for the report of a failed expectation.
    var told: Comment { "code \(code)\n\(output)\(errors)" }

    /// The one JSON document on standard output.
    func decode<Value: Decodable>(_ type: Value.Type) throws -> Value {
        do {
            return try JSONDecoder().decode(type, from: Data(output.utf8))
        } catch {
            throw Failure(description: "no JSON of \(type) in \(output)\(errors): \(error)")
        }
    }

    /// Standard output, which must be that of a success.
    func succeeded() throws -> String {
        guard code == 0 else {
            throw Failure(description: "code \(code)\n\(output)\(errors)")
        }
        return text
    }
}

/// A process that a test has started.
///
/// Its output goes to files, so that it never waits for us.
final class Child {
    let name: String
    let id: pid_t
    private let outputPath: String
    private let errorPath: String
    private var code: Int?

    init(
        _ name: String, _ command: [String], input: String?, environment: [String: String],
        logs: String
    ) throws {
        self.name = name
        outputPath = "\(logs)/\(name).out"
        errorPath = "\(logs)/\(name).err"
        var inputPath = "/dev/null"
        if let input {
            inputPath = "\(logs)/\(name).in"
            try input.write(toFile: inputPath, atomically: false, encoding: .utf8)
        }
        id = try Spawn.start(
            command, environment: environment, input: inputPath, output: outputPath,
            errors: errorPath)
    }

    var isRunning: Bool {
        if code == nil { code = Spawn.poll(id) }
        return code == nil
    }

    var output: String { Self.read(outputPath) }
    var errors: String { Self.read(errorPath) }

    private static func read(_ path: String) -> String {
        String(decoding: FileManager.default.contents(atPath: path) ?? Data(), as: UTF8.self)
    }

    /// Sends a signal; nothing happens where the process has ended.
    func send(_ signal: Int32) {
        guard isRunning else { return }
        kill(id, signal)
    }

    /// Waits for the end.
    func finish() async throws -> Finished {
        try await World.wait("the end of \(name)") { !self.isRunning }
        return Finished(code: code ?? -1, output: output, errors: errors)
    }

    /// Ends it now, however it is.
    func destroy() {
        send(SIGKILL)
    }
}
