internal import Foundation

/// A folder that goes away with its owner.
package final class TemporaryFolder: Sendable {
    /// The folder, as an absolute path.
    package let path: String

    /// Makes a new folder among the system's temporary files.
    package init() throws {
        let name = "/petals-test-" + String(UInt64.random(in: 0...UInt64.max), radix: 36)
        path = FileManager.default.temporaryDirectory.path + name
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit {
        // A folder that stays behind among the temporary files harms nobody.
        try? FileManager.default.removeItem(atPath: path)
    }

    /// Writes a file, with the folders above it, and gives its path.
    @discardableResult
    package func write(_ bytes: [UInt8], to name: String) throws -> String {
        let url = URL(fileURLWithPath: path + "/" + name)
        try FileManager.default.createDirectory(
            at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
        try Data(bytes).write(to: url)
        return url.path
    }

    /// Every file below the folder, as paths relative to it.
    package func files() throws -> [String] {
        let root = URL(fileURLWithPath: path).resolvingSymlinksInPath().path + "/"
        return try FileManager.default.subpathsOfDirectory(atPath: root).filter { name in
            var isFolder: ObjCBool = false
            // SAFETY: the pointer to the flag is used during the call only.
            let exists = unsafe FileManager.default.fileExists(
                atPath: root + name, isDirectory: &isFolder)
            return exists && !isFolder.boolValue
        }
    }

    /// The bytes of a file of the folder.
    package func read(_ name: String) throws -> [UInt8] {
        Array(try Data(contentsOf: URL(fileURLWithPath: path + "/" + name)))
    }
}
