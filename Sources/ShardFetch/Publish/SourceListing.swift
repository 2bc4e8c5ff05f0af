internal import Foundation
internal import PetalsCore
internal import PetalsStore

/// The files of what a person wants to publish.
///
/// Links to files are followed, since model hubs' caches are made of them; links to folders and
/// anything that is neither file nor folder is refused by name. A `.git` folder is left out.
struct SourceListing {
    struct File {
        /// Absolute, with links resolved.
        let path: String
        let modelPath: ModelPath
        let size: Int
        let isExecutable: Bool
        var isInlined: Bool

        /// The entry of a file that is stored in the manifest itself.
        func inlinedEntry() throws(PetalsError) -> ManifestEntry {
            let file = try PublishedFile(opening: path)
            let bytes = try file.read(count: size + 1, at: 0)
            guard bytes.count == size else { throw SourceListing.changed(path) }
            return ManifestEntry(
                path: modelPath, executable: isExecutable, content: .inlined(bytes))
        }
    }

    let name: String
    let isSingleFile: Bool
    private(set) var files: [File]

    /// - Throws: `PetalsError.notFound` or `.badInput` naming the path that cannot be published.
    init(path: String) throws(PetalsError) {
        let url = URL(fileURLWithPath: path).standardizedFileURL
        name = url.lastPathComponent
        guard let kind = Self.kind(of: url) else {
            throw PetalsError(
                .notFound, "there is no file or folder \(path); check the path and try again")
        }
        isSingleFile = kind == .typeRegular
        if kind == .typeRegular {
            files = [try Self.file(url, components: [url.lastPathComponent])]
        } else if kind == .typeDirectory {
            files = try Self.walk(url)
        } else {
            throw Self.unfit(url.path)
        }
        guard files.contains(where: { $0.size > 0 }) else {
            throw PetalsError(
                .badInput,
                "\(path) is empty; publish a file with content, or a folder that has one")
        }
        chooseInlined()
    }

    /// Bytes of the files that become blobs.
    var bytes: Int { files.reduce(0) { $0 + $1.size } }

    /// What the names of the files say of the format.
    var format: String {
        let known = ["gguf", "safetensors", "onnx", "pt", "bin"]
        let largest = files.max { $0.size < $1.size }?.path ?? ""
        return known.first { largest.hasSuffix("." + $0) } ?? ""
    }

    /// What to say of a file that is written while it is published.
    static func changed(_ path: String) -> PetalsError {
        PetalsError(
            .badInput,
            "\(path) changed while it was being published; wait until it is finished and publish "
                + "it again")
    }

    private static func unfit(_ path: String) -> PetalsError {
        PetalsError(
            .badInput,
            "\(path) is neither a file nor a folder, or a link to a folder; leave it out and "
                + "publish again")
    }

    /// The type behind a path, links followed; nil where there is nothing.
    private static func kind(of url: URL) -> FileAttributeType? {
        let resolved = url.resolvingSymlinksInPath().path
        // What cannot be looked at counts as missing; the message names the path.
        let attributes = try? FileManager.default.attributesOfItem(atPath: resolved)
        return attributes?[.type] as? FileAttributeType
    }

    private static func file(_ url: URL, components: [String]) throws(PetalsError) -> File {
        let resolved = url.resolvingSymlinksInPath().path
        let stamp = try PublishedFile(opening: resolved).readStamp()
        guard stamp.isRegular else { throw unfit(url.path) }
        return File(
            path: resolved, modelPath: try ModelPath(components.joined(separator: "/")),
            size: stamp.size,
            isExecutable: FileManager.default.isExecutableFile(atPath: resolved),
            isInlined: stamp.size <= Limits.inlineBytesMax)
    }

    private static func walk(_ root: URL) throws(PetalsError) -> [File] {
        var files: [File] = []
        var folders: [(url: URL, components: [String])] = [(root, [])]
        while let folder = folders.popLast() {
            for name in try names(in: folder.url) where name != ".git" {
                let url = folder.url.appendingPathComponent(name)
                let components = folder.components + [name]
                switch kind(of: url) {
                case .typeDirectory?:
                    guard
                        url.resolvingSymlinksInPath().path == url.standardizedFileURL.path
                            || !isLink(url)
                    else { throw unfit(url.path) }
                    guard components.count <= Limits.depthMax else {
                        throw PetalsError(
                            .badInput,
                            "\(url.path) is more than \(Limits.depthMax) folders deep; publish a "
                                + "folder further down")
                    }
                    folders.append((url, components))
                case .typeRegular?: files.append(try file(url, components: components))
                default: throw unfit(url.path)
                }
                guard files.count <= Limits.filesMax else {
                    throw PetalsError(
                        .badInput,
                        "\(root.path) has more than \(Limits.filesMax) files; publish its parts")
                }
            }
        }
        // In one order everywhere: equal folders give equal manifests.
        return files.sorted { $0.modelPath.description < $1.modelPath.description }
    }

    private static func isLink(_ url: URL) -> Bool {
        // Not a link, or not there: then whoever opens it says so.
        (try? FileManager.default.destinationOfSymbolicLink(atPath: url.path)) != nil
    }

    private static func names(in folder: URL) throws(PetalsError) -> [String] {
        do {
            return try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted()
        } catch {
            throw PetalsError(
                .badInput,
                "the folder \(folder.path) cannot be read (\(error.localizedDescription)); change "
                    + "its permissions and publish again")
        }
    }

    /// Keeps what is inlined within its sum: the largest small files become blobs.
    private mutating func chooseInlined() {
        var sum = files.filter(\.isInlined).reduce(0) { $0 + $1.size }
        let largestFirst = files.indices.filter { files[$0].isInlined }
            .sorted { files[$0].size > files[$1].size }
        for index in largestFirst {
            guard sum > Limits.inlineBytesTotalMax else { break }
            files[index].isInlined = false
            sum -= files[index].size
        }
    }
}
