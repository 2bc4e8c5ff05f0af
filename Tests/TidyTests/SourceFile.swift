/// A Swift file cut into tokens and comments.
///
/// Good enough for tidiness, not a parser: strings (plain, raw, multi-line, with interpolations)
/// and comments (nested too) are seen for what they are; regular expression literals are not.
struct SourceFile {
    /// A word or one character of punctuation, outside strings and comments.
    struct Token {
        let text: String
        /// Counted from 1.
        let line: Int
        /// Whether white space or a line break stands before it.
        let spaced: Bool
        /// Whether it is the first of its line.
        let first: Bool

        /// Whether it is a name, keyword, attribute or number.
        var isWord: Bool { text.utf8.first.map(SourceFile.isWordByte) ?? false }
    }

    /// From the project's root, with `/`.
    let path: String
    let lines: [String]
    let tokens: [Token]
    /// What is comment in each line; empty where nothing is.
    let comments: [String]

    init(path: String, text: String) {
        self.path = path
        lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        var scanner = SourceScanner(text: text)
        scanner.run()
        tokens = Self.tokens(of: scanner.code)
        comments = scanner.comments.split(
            separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false
        ).map { String(decoding: $0, as: UTF8.self).trimmed }
    }

    var isGenerated: Bool { path.hasSuffix(".pb.swift") }

    /// The folder under `Sources`, if it lies there.
    var room: String? {
        let parts = path.split(separator: "/")
        return parts.count >= 3 && parts[0] == "Sources" ? String(parts[1]) : nil
    }

    /// Line `number` without its indentation; empty outside the file.
    func trimmedLine(_ number: Int) -> String {
        lines.indices.contains(number - 1) ? lines[number - 1].trimmed : ""
    }

    /// Whether line `number` is nothing but comment.
    func isCommentLine(_ number: Int) -> Bool {
        let line = trimmedLine(number)
        return !line.isEmpty && line.hasPrefix("//")
    }

    /// The comment lines that end at line `last`, as one text.
    func commentBlock(endingAt last: Int) -> String {
        var first = last
        while isCommentLine(first) { first -= 1 }
        return first < last ? lines[first..<last].joined(separator: "\n") : ""
    }

    private static func tokens(of code: [UInt8]) -> [Token] {
        var tokens: [Token] = []
        var line = 1
        var spaced = true
        var first = true
        var position = 0
        while position < code.count {
            let byte = code[position]
            guard byte != UInt8(ascii: "\n"), byte != UInt8(ascii: " "), byte != 9, byte != 13
            else {
                if byte == UInt8(ascii: "\n") {
                    line += 1
                    first = true
                }
                spaced = true
                position += 1
                continue
            }
            var end = position + 1
            if isWordByte(byte) {
                while end < code.count, isWordByte(code[end]) { end += 1 }
            }
            tokens.append(
                Token(
                    text: String(decoding: code[position..<end], as: UTF8.self), line: line,
                    spaced: spaced, first: first))
            (spaced, first) = (false, false)
            position = end
        }
        return tokens
    }

    private static func isWordByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"): true
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "@"): true
        default: byte >= 128
        }
    }
}

extension String {
    /// The text without white space at both ends.
    var trimmed: String {
        let start = drop { $0.isWhitespace }
        return String(
            start.prefix(
                upTo: start.lastIndex { !$0.isWhitespace }.map(start.index(after:))
                    ?? start.startIndex))
    }
}
