package import Logging
internal import Synchronization

/// Log lines, kept to be looked at.
package final class LogBook: Sendable {
    private let lines = Mutex<[String]>([])
    /// Lives as long as anybody logs.
    private let owned: (any Sendable)?

    /// Makes an empty book.
    ///
    /// - Parameter owned: what whoever logs needs, as a store its folder.
    package init(keeping owned: (any Sendable)? = nil) {
        self.owned = owned
    }

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
