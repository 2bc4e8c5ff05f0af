package import PetalsCore

/// Small files of the state folder that other rooms keep, as the DHT its routing table.
package enum StateFile {
    /// Reads a whole file; nil where it is missing.
    ///
    /// - Throws: `.limitExceeded` where it has more than `bytesMax` bytes, `.system` from the disk.
    package static func read(_ path: String, bytesMax: Int) throws(PetalsError) -> [UInt8]? {
        guard let file = try DiskFile.open(path, .reading) else { return nil }
        let bytes = try file.read(count: bytesMax + 1, at: 0)
        guard bytes.count <= bytesMax else {
            throw PetalsError(
                .limitExceeded,
                "\(path) has more than \(bytesMax) bytes, so that it is not what petalsfs wrote "
                    + "there; remove it")
        }
        return bytes
    }

    /// Writes a file that only its owner may read; after a crash there is the old one or the new
    /// one, whole.
    ///
    /// - Throws: `.noSpace` or `.system` from the disk.
    package static func replace(_ path: String, with bytes: [UInt8]) throws(PetalsError) {
        guard let slash = path.lastIndex(of: "/") else {
            throw PetalsError(.badInput, "“\(path)” is not an absolute path; give one")
        }
        try Disk.replaceFile(
            String(path[path.index(after: slash)...]), in: String(path[..<slash]), with: bytes)
    }
}
