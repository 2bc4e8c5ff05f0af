/// Words that must not be there.
enum Words {
    // MARK: Traps

    static func trapFindings(_ file: SourceFile) -> [Finding] {
        file.tokens.indices.compactMap { position in
            let token = file.tokens[position]
            let previous = position > 0 ? file.tokens[position - 1] : nil
            let message: String
            if token.text == "fatalError" {
                message = "fatalError is not used: a bug is a precondition, the rest are errors"
            } else if token.text == "!", !token.spaced, let previous,
                previous.isWord || [")", "]", "}", ">"].contains(previous.text),
                !isNotEqual(file, position)
            {
                message = "“\(previous.text)!” is not used: unwrap with guard, throw what is wrong"
            } else {
                return nil
            }
            return Finding(path: file.path, line: token.line, message: message)
        }
    }

    private static func isNotEqual(_ file: SourceFile, _ position: Int) -> Bool {
        position + 1 < file.tokens.count && file.tokens[position + 1].text == "="
            && !file.tokens[position + 1].spaced
    }

    // MARK: Promises

    static func promiseFindings(_ file: SourceFile) -> [Finding] {
        file.comments.enumerated().compactMap { index, comment in
            for word in ["TODO", "FIXME", "XXX"] where comment.contains(word) {
                return Finding(
                    path: file.path, line: index + 1,
                    message: "\(word): do it, or write an issue")
            }
            return nil
        }
    }

    // MARK: Machines

    /// Folders that exist on the machine of whoever wrote a line, and on no other.
    private static let machineFolders = ["/work/", "/tmp/w/", "/root/", "/opt/swift/", "/home/"]

    /// Hosts that everybody can reach; a host that is not listed may be a mirror of one network.
    private static let publicHosts: Set<String> = [
        "127.0.0.1", "::1", "apache.org", "bittorrent.org", "creativecommons.org",
        "datatracker.ietf.org", "developer.apple.com", "docs.kernel.org", "download.swift.org",
        "example.com", "example.org", "github.com", "huggingface.co", "json-schema.org",
        "localhost", "man7.org", "protobuf.dev", "pypi.org", "rfc-editor.org", "swift.org",
        "w3.org", "wiki.debian.org",
    ]

    static func machineFindings(_ file: TextFile) -> [Finding] {
        file.lines.enumerated().flatMap { index, line -> [Finding] in
            var messages: [String] = []
            for folder in machineFolders where namesFolder(line, folder) {
                messages.append("\(folder) is a folder of one machine")
            }
            for host in hosts(in: line) where !publicHosts.contains(host) {
                messages.append("\(host) is not in the list of public hosts of Words.swift")
            }
            return messages.map { Finding(path: file.path, line: index + 1, message: $0) }
        }
    }

    /// Whether `line` names `folder` as an absolute path, and not as the end of another.
    private static func namesFolder(_ line: String, _ folder: String) -> Bool {
        guard line.contains(folder) else { return false }
        // This list itself is the one place that may spell them.
        guard !line.contains("machineFolders = [") else { return false }
        return line.ranges(of: folder).contains { range in
            guard range.lowerBound > line.startIndex else { return true }
            let before = line[line.index(before: range.lowerBound)]
            return !(before.isLetter || before.isNumber || "._-/~}".contains(before))
        }
    }

    /// The hosts of the URLs in a line, without `www.` and port.
    private static func hosts(in line: String) -> [String] {
        guard line.contains("://") else { return [] }
        return line.ranges(of: "://").compactMap { range in
            let scheme = line[..<range.lowerBound].reversed().prefix { $0.isLetter }
            guard ["ptth", "sptth", "tig", "hss"].contains(String(scheme)) else { return nil }
            let host = line[range.upperBound...].prefix {
                $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "." || $0 == "-")
            }
            // A host that is put together at run time has no name here.
            guard !host.isEmpty else { return nil }
            return String(host.hasPrefix("www.") ? host.dropFirst(4) : host)
        }
    }

    // MARK: Scripts

    static func scriptFindings(_ file: TextFile) -> [Finding] {
        guard file.path.hasPrefix("scripts/") || file.path.hasPrefix(".ci/"),
            let first = file.lines.first, first.hasPrefix("#!"), first.hasSuffix("bash"),
            !file.lines.contains("set -euo pipefail")
        else { return [] }
        return [
            Finding(path: file.path, line: 1, message: "the script lacks `set -euo pipefail`")
        ]
    }
}
