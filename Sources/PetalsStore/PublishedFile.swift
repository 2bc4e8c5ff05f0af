package import PetalsCore

/// A file of the user that is being published: opened once, read at any offset, and asked whether
/// it is still the same.
package final class PublishedFile: Sendable {
    /// Where it lies.
    package let path: String
    private let file: DiskFile

    /// Opens the file at `path`, following links.
    ///
    /// - Throws: `.notFound` or `.system` naming the path.
    package init(opening path: String) throws(PetalsError) {
        guard let file = try DiskFile.open(path, .reading, followLinks: true) else {
            throw PetalsError(.notFound, "there is no file \(path); check the path and try again")
        }
        self.path = path
        self.file = file
    }

    /// Up to `count` bytes from `offset`; fewer only at the end of the file.
    ///
    /// - Throws: `.system` where the disk fails.
    package func read(count: Int, at offset: Int) throws(PetalsError) -> [UInt8] {
        try file.read(count: count, at: offset)
    }

    /// Reads as many bytes as `target` has from `offset` on; fewer only at the end of the file.
    ///
    /// - Returns: the number of bytes read.
    /// - Throws: `.system` where the disk fails.
    package func read(
        into target: UnsafeMutableRawBufferPointer, at offset: Int
    ) throws(PetalsError) -> Int {
        // SAFETY: the caller owns the target during the call.
        try unsafe file.read(into: target, at: offset)
    }

    /// What tells this content from another, without reading it.
    ///
    /// - Throws: `.system` where the disk fails.
    package func readStamp() throws(PetalsError) -> FileStamp {
        try file.readStamp()
    }
}
