/// Tells code, strings and comments of a Swift file apart.
///
/// `code` and `comments` have the bytes of the file, line for line, with everything that is not
/// theirs blanked out. The inside of an interpolation is code.
struct SourceScanner {
    private enum Context {
        /// Code; inside an interpolation, `parentheses` counts those that are open.
        case code(parentheses: Int)
        case string(hashes: Int, multiline: Bool)
    }

    private let bytes: [UInt8]
    private var position = 0
    private var contexts: [Context] = [.code(parentheses: 0)]
    private(set) var code: [UInt8] = []
    private(set) var comments: [UInt8] = []

    init(text: String) {
        bytes = Array(text.utf8)
        code.reserveCapacity(bytes.count)
        comments.reserveCapacity(bytes.count)
    }

    mutating func run() {
        while position < bytes.count {
            switch contexts[contexts.count - 1] {
            case .code(let parentheses): scanCode(parentheses)
            case .string(let hashes, let multiline): scanString(hashes, multiline)
            }
        }
    }

    private static let codeMarks = Array("/#\"()".utf8)
    private static let stringMarks = Array("\"\\\n".utf8)

    private mutating func scanCode(_ parentheses: Int) {
        // Most bytes begin nothing; they are let through without a closer look.
        guard Self.codeMarks.contains(bytes[position]) else { return take(.code) }
        if starts(with: "//") {
            while position < bytes.count, bytes[position] != UInt8(ascii: "\n") { take(.comment) }
        } else if starts(with: "/*") {
            scanBlockComment()
        } else if let hashes = stringOpening() {
            let multiline = starts(with: "\"\"\"", at: position + hashes)
            take(.code, count: hashes + (multiline ? 3 : 1))
            contexts.append(.string(hashes: hashes, multiline: multiline))
        } else {
            let inside = contexts.count > 1
            if inside, bytes[position] == UInt8(ascii: "(") {
                contexts[contexts.count - 1] = .code(parentheses: parentheses + 1)
            } else if inside, bytes[position] == UInt8(ascii: ")") {
                if parentheses == 1 {
                    contexts.removeLast()
                } else {
                    contexts[contexts.count - 1] = .code(parentheses: parentheses - 1)
                }
            }
            take(.code)
        }
    }

    private mutating func scanString(_ hashes: Int, _ multiline: Bool) {
        guard Self.stringMarks.contains(bytes[position]) else { return take(.neither) }
        let closing = (multiline ? "\"\"\"" : "\"") + String(repeating: "#", count: hashes)
        let escape = "\\" + String(repeating: "#", count: hashes)
        if starts(with: escape + "(") {
            take(.neither, count: escape.utf8.count)
            contexts.append(.code(parentheses: 0))
        } else if starts(with: escape) {
            take(.neither, count: escape.utf8.count + 1)
        } else if starts(with: closing) {
            take(.code, count: closing.utf8.count)
            contexts.removeLast()
        } else if !multiline, bytes[position] == UInt8(ascii: "\n") {
            // An unterminated string does not compile; whatever this is, it ends here.
            contexts.removeLast()
        } else {
            take(.neither)
        }
    }

    private mutating func scanBlockComment() {
        var depth = 0
        repeat {
            if starts(with: "/*") {
                depth += 1
                take(.comment, count: 2)
            } else if starts(with: "*/") {
                depth -= 1
                take(.comment, count: 2)
            } else {
                take(.comment)
            }
        } while depth > 0 && position < bytes.count
    }

    /// The number of `#` before a string that starts here, or nil.
    private func stringOpening() -> Int? {
        var hashes = 0
        while position + hashes < bytes.count, bytes[position + hashes] == UInt8(ascii: "#") {
            hashes += 1
        }
        return starts(with: "\"", at: position + hashes) ? hashes : nil
    }

    private func starts(with text: String, at start: Int? = nil) -> Bool {
        bytes[min(start ?? position, bytes.count)...].starts(with: text.utf8)
    }

    private enum Share {
        case code
        case comment
        case neither
    }

    private mutating func take(_ share: Share, count: Int = 1) {
        for _ in 0..<min(count, bytes.count - position) {
            let byte = bytes[position]
            let isLineBreak = byte == UInt8(ascii: "\n")
            code.append(share == .code || isLineBreak ? byte : UInt8(ascii: " "))
            comments.append(share == .comment || isLineBreak ? byte : UInt8(ascii: " "))
            position += 1
        }
    }
}
