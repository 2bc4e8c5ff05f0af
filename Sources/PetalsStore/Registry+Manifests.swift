internal import Logging
internal import PetalsCodec
package import PetalsCore

extension Registry {
    /// Keeps a sealed manifest.
    ///
    /// - Throws: `.corrupt` when the bytes are not those that the id names.
    package func storeManifest(_ bytes: [UInt8], id: ManifestID) throws(PetalsError) {
        guard bytes.count <= Limits.manifestBytesMax, sha256(bytes) == id else {
            throw PetalsError(
                .corrupt,
                "the manifest does not match its id \(id.short); fetch it from another peer")
        }
        try Disk.replaceFile(
            id.hex, in: folder.manifestsFolder, with: bytes, faults: folder.faults)
    }

    /// The sealed manifest of an id.
    ///
    /// - Returns: nil where it is not kept; a file that does not match its name counts as that, and
    ///   is removed with a line in the log.
    package func readManifest(_ id: ManifestID) throws(PetalsError) -> [UInt8]? {
        let path = manifestPath(id)
        guard let file = try DiskFile.open(path, .reading, faults: folder.faults) else {
            return nil
        }
        let bytes = try file.read(
            count: min(try file.readStamp().size, Limits.manifestBytesMax + 1), at: 0)
        if sha256(bytes) == id { return bytes }
        logger.warning("the manifest \(path) is damaged; it is removed and fetched again")
        try Disk.removeFile(path)
        return nil
    }

    func manifestPath(_ id: ManifestID) -> String { folder.manifestsFolder + "/" + id.hex }
}
