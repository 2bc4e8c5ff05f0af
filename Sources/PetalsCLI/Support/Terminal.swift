internal import Foundation
internal import Glibc
internal import Synchronization

/// Standard output and standard error, a whole line at a time.
enum Terminal {
    private static let lock = Mutex(())

    /// Prints a line on standard output.
    static func print(_ line: String) {
        write(line + "\n", to: .standardOutput)
    }

    /// Prints a line on standard error.
    static func printError(_ line: String) {
        write(line + "\n", to: .standardError)
    }

    /// Replaces the current line of standard error.
    static func redraw(_ line: String) {
        write("\r\u{1B}[K" + line, to: .standardError)
    }

    /// Whether a person is looking at standard error.
    static var isInteractive: Bool { isatty(STDERR_FILENO) == 1 }

    private static func write(_ text: String, to handle: FileHandle) {
        lock.withLock { _ in
            // Whoever read our output may be gone; there is nobody left to tell.
            try? handle.write(contentsOf: Data(text.utf8))
        }
    }
}

/// A progress bar on a terminal, and nothing elsewhere.
final class ProgressBar: Sendable {
    private struct State {
        var lastPercent = -1
        let start = Date()
        var drawn = false
    }

    private let title: String
    private let isShown: Bool
    private let state = Mutex(State())

    init(_ title: String, isQuiet: Bool) {
        self.title = title
        isShown = Terminal.isInteractive && !isQuiet
    }

    /// Draws the bar when its percentage has changed.
    func update(done: Int, total: Int) {
        guard isShown, total > 0 else { return }
        let percent = min(100, Int(Double(done) / Double(total) * 100))
        let seconds = state.withLock { state -> Double? in
            guard state.lastPercent != percent else { return nil }
            state.lastPercent = percent
            state.drawn = true
            return Date().timeIntervalSince(state.start)
        }
        guard let seconds else { return }
        let filled = percent * 30 / 100
        let bar = String(repeating: "█", count: filled) + String(repeating: "·", count: 30 - filled)
        let left = percent == 0 ? 0 : seconds / Double(percent) * Double(100 - percent)
        Terminal.redraw("\(title) \(bar) \(percent) %, \(Int(left.rounded())) s left")
    }

    /// Takes the bar away.
    func finish() {
        let wasDrawn = state.withLock { state in
            defer { state.drawn = false }
            return state.drawn
        }
        if wasDrawn { Terminal.redraw("") }
    }
}

/// Columns of text, as wide as they need to be.
struct TextTable {
    private var rows: [[String]]

    init(_ header: [String]) {
        rows = [header]
    }

    mutating func add(_ row: [String]) { rows.append(row) }

    var text: String {
        let widths = (0..<(rows.first?.count ?? 0)).map { column in
            rows.map { $0[column].count }.max() ?? 0
        }
        return rows.map { row in
            let cells = zip(row, widths).map {
                $0.padding(toLength: $1, withPad: " ", startingAt: 0)
            }
            return String(cells.joined(separator: "  ").reversed().drop { $0 == " " }.reversed())
        }.joined(separator: "\n")
    }
}
