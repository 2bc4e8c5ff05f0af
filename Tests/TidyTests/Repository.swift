import Foundation

/// What a detector has to say of one place.
struct Finding: Equatable, CustomStringConvertible {
    let path: String
    let line: Int
    let message: String

    var description: String { "\(path):\(line): \(message)" }
}

/// A text of the project that is not necessarily Swift.
struct TextFile {
    /// From the project's root, with `/`.
    let path: String
    let lines: [String]

    init(path: String, text: String) {
        self.path = path
        lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    }
}

/// The project on the disk, as the detectors see it.
struct Repository {
    /// What belongs to the project; build folders and whatever else lies around do not.
    private static let contents = [
        ".ci", ".gitignore", ".swift-format", "LICENSE", "Package.swift", "README.md", "Sources",
        "Tests", "bench", "docs", "man", "scripts",
    ]
    private static let binaryEndings = [".png", ".pdf", ".bin", ".gz", ".pyc", ".gguf"]

    let texts: [TextFile]
    let swiftFiles: [SourceFile]

    /// Finds the project by the place of this very file.
    init() throws {
        let root = URL(filePath: #filePath).deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent()
        let paths = try Self.contents.flatMap { try Self.files(at: $0, in: root) }
        var texts: [TextFile] = []
        var swiftFiles: [SourceFile] = []
        for path in paths.sorted() where !Self.binaryEndings.contains(where: path.hasSuffix) {
            let bytes = try Data(contentsOf: root.appending(path: path))
            // What is no UTF-8 is no text of ours.
            guard let text = String(bytes: bytes, encoding: .utf8) else { continue }
            texts.append(TextFile(path: path, text: text))
            if path.hasSuffix(".swift") { swiftFiles.append(SourceFile(path: path, text: text)) }
        }
        self.texts = texts
        self.swiftFiles = swiftFiles
    }

    /// The files at or below `path`; none where nothing is there.
    private static func files(at path: String, in root: URL) throws -> [String] {
        let full = root.appending(path: path).path
        guard FileManager.default.fileExists(atPath: full) else { return [] }
        let type = try FileManager.default.attributesOfItem(atPath: full)[.type]
        guard type as? FileAttributeType == .typeDirectory else { return [path] }
        return try FileManager.default.contentsOfDirectory(atPath: full).flatMap {
            try files(at: "\(path)/\($0)", in: root)
        }
    }

    /// Swift that ends up in the product.
    var sources: [SourceFile] { swiftFiles.filter { $0.path.hasPrefix("Sources/") } }

    /// Swift written by people.
    var writtenFiles: [SourceFile] { swiftFiles.filter { !$0.isGenerated } }

    /// Swift written by people that ends up in the product.
    var writtenSources: [SourceFile] { sources.filter { !$0.isGenerated } }

    /// The Swift targets of the product, by folder.
    var rooms: [String] { Set(sources.compactMap(\.room)).sorted() }

    func files(ofRoom room: String) -> [SourceFile] { sources.filter { $0.room == room } }
}
