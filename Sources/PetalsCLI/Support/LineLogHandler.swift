internal import Foundation
internal import Logging

/// How a line of the log looks.
enum LogFormat: String, CaseIterable, Sendable {
    case text
    case json
}

/// Writes logs to standard error, a line each.
struct LineLogHandler: LogHandler {
    var metadata: Logger.Metadata = [:]
    var logLevel: Logger.Level
    private let format: LogFormat

    init(format: LogFormat, level: Logger.Level) {
        self.format = format
        logLevel = level
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        let time = Date().formatted(.iso8601)
        switch format {
        case .text:
            Terminal.printError("\(time) \(event.level): \(event.message)")
        case .json:
            let line = ["time": time, "level": "\(event.level)", "message": "\(event.message)"]
            // A dictionary of strings always encodes.
            let data = try? JSONEncoder.petals.encode(line)
            Terminal.printError(String(decoding: data ?? Data(), as: UTF8.self))
        }
    }
}

extension JSONEncoder {
    /// Keys in order and slashes as they are, so that output is stable and readable.
    static var petals: JSONEncoder {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return encoder
    }
}
