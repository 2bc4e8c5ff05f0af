package import Logging
internal import Synchronization

/// Log lines, kept to be looked at.
package final class LogBook: Sendable {
    private let lines = Mutex<[String]>([])

    /// Makes an empty book.
    package init() {}

    /// All lines so far, each with its level in front.
    package var all: [String] { lines.withLock { $0 } }

    /// A logger that writes into the book.
    package var logger: Logger {
        Logger(label: "test") { _ in BookHandler(book: self) }
    }

    fileprivate func add(_ line: String) {
        lines.withLock { $0.append(line) }
    }
}

private struct BookHandler: LogHandler {
    let book: LogBook
    var metadata: Logger.Metadata = [:]
    var logLevel = Logger.Level.debug

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        book.add("\(event.level): \(event.message)")
    }
}
