/// How long things may be.
enum Lengths {
    static let fileLinesMax = 400
    static let functionLinesMax = 60
    static let columnsMax = 100

    static func fileFindings(_ file: SourceFile) -> [Finding] {
        // The last line break ends a line and starts none.
        let count = file.lines.last == "" ? file.lines.count - 1 : file.lines.count
        guard count > fileLinesMax else { return [] }
        return [
            Finding(
                path: file.path, line: count,
                message: "the file has \(count) lines; the ceiling is \(fileLinesMax)")
        ]
    }

    static func columnFindings(_ file: SourceFile) -> [Finding] {
        file.lines.enumerated().compactMap { index, line in
            guard line.utf8.count > columnsMax, line.count > columnsMax else { return nil }
            return Finding(
                path: file.path, line: index + 1,
                message: "the line has \(line.count) columns; the ceiling is \(columnsMax)")
        }
    }

    static func functionFindings(_ file: SourceFile) -> [Finding] {
        file.functions.compactMap { function in
            guard function.lines.count > functionLinesMax else { return nil }
            return Finding(
                path: file.path, line: function.lines.lowerBound,
                message: "\(function.name) has \(function.lines.count) lines; the ceiling is "
                    + "\(functionLinesMax)")
        }
    }
}

extension SourceFile {
    /// A function, initialiser, subscript or computed property with a body.
    struct Function {
        let name: String
        /// From the line of its keyword to that of its closing brace, counted from 1.
        let lines: ClosedRange<Int>
        /// The line of its opening brace.
        let bodyLine: Int
    }

    private static let declarations: Set<String> = [
        "func", "init", "deinit", "subscript", "var", "let", "case", "struct", "class", "enum",
        "protocol", "extension", "actor", "typealias", "associatedtype", "import",
    ]

    /// The functions of the file, nested ones too, in the order of their beginnings.
    var functions: [Function] {
        tokens.indices.compactMap { position in
            guard isFunctionKeyword(at: position), let body = bodyStart(from: position),
                let end = closingBrace(of: body)
            else { return nil }
            let keyword = tokens[position].text
            let isNamed = keyword == "func" || keyword == "var"
            return Function(
                name: isNamed ? tokens[position + 1].text : keyword,
                lines: tokens[position].line...tokens[end].line,
                bodyLine: tokens[body].line)
        }
    }

    private func isFunctionKeyword(at position: Int) -> Bool {
        guard position + 1 < tokens.count else { return false }
        let before = position > 0 ? tokens[position - 1].text : ""
        let after = tokens[position + 1].text
        switch tokens[position].text {
        case "func", "var": return before != "."
        case "deinit": return after == "{"
        case "init": return before != "." && ["(", "<", "?", "!"].contains(after)
        case "subscript": return before != "." && ["(", "<"].contains(after)
        default: return false
        }
    }

    /// Where the body of the declaration at `position` opens; nil where it has none.
    func bodyStart(from position: Int) -> Int? {
        let isProperty = tokens[position].text == "var"
        var depth = 0
        for next in tokens.indices.dropFirst(position + 1) {
            let token = tokens[next]
            switch token.text {
            case "(", "[": depth += 1
            case ")", "]": depth -= 1
            case "{" where depth == 0: return next
            case "}" where depth == 0: return nil
            case "=" where isProperty && depth == 0: return nil
            case "else" where isProperty && depth == 0: return nil
            default:
                let begins =
                    token.first && depth == 0
                    && (Self.declarations.contains(token.text) || token.text.hasPrefix("@")
                        || ["package", "public", "private", "static"].contains(token.text))
                if begins { return nil }
            }
            if depth < 0 { return nil }
        }
        return nil
    }

    /// Where the brace that opens at `opening` is closed.
    func closingBrace(of opening: Int) -> Int? {
        var depth = 0
        for position in tokens.indices.dropFirst(opening) {
            switch tokens[position].text {
            case "{": depth += 1
            case "}":
                depth -= 1
                if depth == 0 { return position }
            default: break
            }
        }
        return nil
    }
}
