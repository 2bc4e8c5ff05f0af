/// Comments that must be there.
enum Comments {
    /// How far above an `unsafe` its reason may stand.
    private static let safetyLinesMax = 6
    private static let essayLinesMin = 10

    // MARK: unsafe

    static func safetyFindings(_ file: SourceFile) -> [Finding] {
        let functions = file.functions
        // The lines of the braces that are open, and the lines whose `unsafe` has its reason: what
        // is inside a block that an explained line opened is explained with it.
        var open: [Int] = []
        var explained: Set<Int> = []
        var reported: Set<Int> = []
        for token in file.tokens {
            switch token.text {
            case "{": open.append(token.line)
            case "}": _ = open.popLast()
            case "unsafe":
                if open.contains(where: explained.contains)
                    || hasSafety(file, functions, line: token.line)
                {
                    explained.insert(token.line)
                } else {
                    reported.insert(token.line)
                }
            default: break
            }
        }
        return reported.sorted().map { line in
            Finding(
                path: file.path, line: line,
                message: "this `unsafe` has no `// SAFETY:` comment above it")
        }
    }

    private static func hasSafety(
        _ file: SourceFile, _ functions: [SourceFile.Function], line: Int
    ) -> Bool {
        let near = max(1, line - safetyLinesMax)...line
        if near.contains(where: { mentions(file, "SAFETY:", $0) }) { return true }
        // Above the function, or first thing in it, a reason speaks for all of the function.
        return functions.contains { function in
            guard function.lines.contains(line) else { return false }
            let above = lineAboveAttributes(file, function.lines.lowerBound)
            return file.commentBlock(endingAt: above).contains("SAFETY:")
                || file.comments[function.bodyLine..<min(function.bodyLine + 3, line)]
                    .contains { $0.contains("SAFETY:") }
        }
    }

    /// Whether the comment block through line `line` says `word`, wherever in the block.
    private static func mentions(_ file: SourceFile, _ word: String, _ line: Int) -> Bool {
        file.comments[line - 1].contains(word)
            || (file.isCommentLine(line) && file.commentBlock(endingAt: line).contains(word))
    }

    /// The line above a declaration and its attributes.
    private static func lineAboveAttributes(_ file: SourceFile, _ declaration: Int) -> Int {
        var line = declaration - 1
        while file.trimmedLine(line).hasPrefix("@") { line -= 1 }
        return line
    }

    // MARK: @unchecked Sendable

    static func sendableFindings(_ file: SourceFile) -> [Finding] {
        zip(file.tokens, file.tokens.dropFirst()).compactMap { attribute, type in
            guard attribute.text == "@unchecked", type.text == "Sendable" else { return nil }
            let near = max(0, type.line - 4)..<min(file.comments.count, type.line + 3)
            if file.comments[near].contains(where: { $0.contains("Sendable:") }) { return nil }
            return Finding(
                path: file.path, line: type.line,
                message: "this `@unchecked Sendable` has no `// Sendable:` comment beside it")
        }
    }

    // MARK: Documentation

    // A stored property and an initialiser that only fills them are described by their type's
    // comment; to repeat their names in a sentence each would teach people to skip sentences.

    /// Requirements of well-known protocols, which need no second description.
    private static let witnesses: Set<String> = [
        "customMirror", "debugDescription", "description", "errorDescription", "hash",
    ]
    private static let keywords: Set<String> = [
        "actor", "associatedtype", "class", "enum", "func", "init", "let", "macro", "protocol",
        "struct", "subscript", "typealias", "var",
    ]
    private static let modifiers: Set<String> = [
        "(", ")", "borrowing", "class", "consuming", "convenience", "dynamic", "fileprivate",
        "final", "indirect", "internal", "lazy", "mutating", "nonisolated", "nonmutating",
        "override", "private", "required", "set", "static", "unowned", "unsafe", "weak",
    ]

    static func documentationFindings(_ file: SourceFile) -> [Finding] {
        file.tokens.indices.compactMap { position in
            let access = file.tokens[position]
            guard access.text == "package" || access.text == "public",
                let (keyword, name) = declaration(file, after: position),
                !isWitness(keyword, name), !isPlain(file, keyword, after: position)
            else { return nil }
            var line = access.line - 1
            // Attributes stand between a declaration and its comment, in one line or several.
            while !file.isCommentLine(line), isAttribute(file, line) { line -= 1 }
            guard !file.trimmedLine(line).hasPrefix("///") else { return nil }
            return Finding(
                path: file.path, line: access.line,
                message: "\(access.text) \(keyword) \(name) has no documentation comment")
        }
    }

    private static func isAttribute(_ file: SourceFile, _ line: Int) -> Bool {
        file.trimmedLine(line).hasPrefix("@")
    }

    private static func isWitness(_ keyword: String, _ name: String) -> Bool {
        witnesses.contains(name)
            || (keyword == "func" && !(name.utf8.first.map { $0 == 0x60 || $0 == 0x5F } ?? false)
                && !(name.first?.isLetter ?? false))
    }

    /// Whether this is a stored property of an instance, or an initialiser that only assigns.
    private static func isPlain(
        _ file: SourceFile, _ keyword: String, after position: Int
    ) -> Bool {
        guard
            let start = file.tokens.indices.dropFirst(position).first(where: {
                file.tokens[$0].text == keyword
            })
        else { return false }
        let body = file.bodyStart(from: start)
        switch keyword {
        case "let", "var":
            let isStatic = file.tokens[position..<start].contains { $0.text == "static" }
            return !isStatic && (keyword == "let" || body == nil)
        case "init":
            guard let body, let end = file.closingBrace(of: body) else { return false }
            let inside = file.tokens[body + 1..<end]
            return inside.indices.allSatisfy { index in
                let after = file.tokens[index + 1].text
                return !inside[index].first || after == "=" || inside[index].text == "self"
            }
        default: return false
        }
    }

    /// The keyword and name that an access level at `position` belongs to.
    private static func declaration(
        _ file: SourceFile, after position: Int
    ) -> (keyword: String, name: String)? {
        var next = position + 1
        while next + 1 < file.tokens.count {
            let text = file.tokens[next].text
            let following = file.tokens[next + 1].text
            if text == "class", ["func", "var", "subscript"].contains(following) {
                next += 1
            } else if keywords.contains(text) {
                return (text, text == "init" || text == "subscript" ? "" : following)
            } else if modifiers.contains(text) {
                next += 1
            } else {
                return nil
            }
        }
        return nil
    }

    // MARK: Essays

    static func essayFindings(room: String, files: [SourceFile]) -> [Finding] {
        // A room without a line of code has nothing to explain yet.
        guard files.contains(where: { $0.tokens.count > 5 }) else { return [] }
        let path = "Sources/\(room)/\(room).swift"
        guard let file = files.first(where: { $0.path == path }) else {
            return [Finding(path: path, line: 1, message: "the room has no file for its essay")]
        }
        let count = file.lines.prefix { $0.hasPrefix("//") }.count
        guard count < essayLinesMin else { return [] }
        return [
            Finding(
                path: path, line: 1,
                message: "the essay at the top has \(count) lines instead of \(essayLinesMin)")
        ]
    }
}
