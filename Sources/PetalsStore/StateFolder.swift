internal import Foundation
internal import Glibc
package import PetalsCore
internal import Synchronization

/// The folder that holds all that a node keeps, and the lock that says who uses it.
///
/// The lock lasts as long as this value; the system drops it when the process ends in any way.
package final class StateFolder: Sendable {
    /// The folder, as an absolute path.
    package let path: String
    let faults: DiskFaults?
    private let lock: Mutex<DiskFile?>

    /// The number in `VERSION`: it grows when an older petalsfs could damage a newer folder.
    static let version = 1

    /// Opens the state folder and takes its lock; makes it, for its owner only, where missing.
    ///
    /// - Throws: `.busy` when another process holds it, `.unsupportedVersion` or `.corrupt` for its
    ///   `VERSION`, `.noSpace` or `.system` from the disk.
    package convenience init(opening path: String) throws(PetalsError) {
        try self.init(opening: path, faults: nil)
    }

    /// Opens the state folder on a disk that may fail on purpose.
    package init(opening path: String, faults: DiskFaults?) throws(PetalsError) {
        let absolute = Self.absolute(path)
        self.path = absolute
        self.faults = faults
        try Self.checkPlace(absolute, making: true)
        do throws(PetalsError) {
            try Disk.makeParents(of: absolute)
            try Disk.makeFolder(absolute)
        } catch {
            guard error.code == .system else { throw error }
            throw PetalsError(
                .system,
                "the state folder \(absolute) cannot be made; name another with --state "
                    + "(\(error.message))")
        }
        lock = Mutex(try Self.takeLock(of: absolute, faults: faults))
        try Self.checkVersion(of: absolute, faults: faults)
        try Disk.makeFolder(blobsFolder)
        try Disk.makeFolder(manifestsFolder)
        try Disk.makeFolder(publishingFolder)
    }

    /// The unix socket through which commands reach the running node.
    package var controlSocket: String { path + "/control.sock" }
    /// Where the running node writes the address that it listens on.
    package var listenFile: String { path + "/listen" }
    /// Nodes of the distributed hash table that were known.
    package var dhtFile: String { path + "/dht" }
    /// One folder for each blob.
    package var blobsFolder: String { path + "/blobs" }
    /// One file for each sealed manifest.
    package var manifestsFolder: String { path + "/manifests" }
    /// Blobs that are being published; see `BlobDraft`.
    package var publishingFolder: String { path + "/publishing" }
    /// The registry.
    package var database: String { path + "/petals.sqlite" }

    /// The 32 random bytes that the node's identity grows from; made at the first call.
    ///
    /// - Throws: `.corrupt` when the file that keeps them has another length.
    package func identitySeed() throws(PetalsError) -> [UInt8] {
        let name = "identity.key"
        if let file = try DiskFile.open(path + "/" + name, .reading, faults: faults) {
            let seed = try file.read(count: 33, at: 0)
            guard seed.count == 32 else {
                throw PetalsError(
                    .corrupt,
                    "the node's key \(path)/\(name) does not have 32 bytes; put back a copy of it, "
                        + "or remove it and the node gets a new identity")
            }
            return seed
        }
        var generator = SystemRandomNumberGenerator()
        let seed = (0..<32).map { _ in UInt8.random(in: 0...255, using: &generator) }
        try Disk.replaceFile(name, in: path, with: seed, faults: faults)
        return seed
    }

    /// Writes a small file of the folder so that readers see the old one or the new one, whole.
    ///
    /// - Parameter name: a name without `/`, as `listen`.
    package func replaceFile(_ name: String, with bytes: [UInt8]) throws(PetalsError) {
        try Disk.replaceFile(name, in: path, with: bytes, faults: faults)
    }

    /// Gives the lock back although somebody still refers to the folder; nobody may write to it
    /// after.
    package func release() {
        lock.withLock { $0 = nil }
    }

    /// Whether some process uses the state folder at `path`, and which, without taking its lock.
    ///
    /// - Returns: nil where nobody does, else the process id, or 0 where it cannot be read.
    package static func holder(of path: String) throws(PetalsError) -> Int? {
        try checkPlace(absolute(path))
        let name = absolute(path) + "/lock"
        guard let file = try DiskFile.open(name, .reading) else { return nil }
        // A shared lock tells the same without keeping a second asker from the answer. It goes with
        // `file`; a node that starts in this very moment tries again (see `takeLock`).
        return try file.lock(shared: true) ? nil : readHolder(file)
    }

    private static func takeLock(
        of path: String, faults: DiskFaults?
    ) throws(PetalsError) -> DiskFile {
        let file = try DiskFile.create(path + "/lock", faults: faults)
        // Somebody who only asks (`holder(of:)`) has the lock for some microseconds.
        for attempt in 0..<10 {
            if try file.lock() {
                try file.setLength(0)
                try file.write(Array("\(getpid())\n".utf8), at: 0)
                return file
            }
            if attempt < 9 { usleep(5_000) }
        }
        let holder = readHolder(file)
        let process = holder == 0 ? "" : " (process \(holder))"
        throw PetalsError(
            .busy,
            "another petalsfs\(process) uses the state folder \(path); stop it or give another "
                + "--state")
    }

    /// The process id in a lock file; 0 where it has none, as its text is only a courtesy.
    private static func readHolder(_ file: DiskFile) -> Int {
        // Who cannot be read is not named.
        guard let bytes = try? file.read(count: 32, at: 0) else { return 0 }
        return Int(String(decoding: bytes.prefix { $0 != 10 }, as: UTF8.self)) ?? 0
    }

    private static func checkVersion(
        of path: String, faults: DiskFaults?
    ) throws(PetalsError) {
        let prefix = "petalsfs state "
        guard let file = try DiskFile.open(path + "/VERSION", .reading, faults: faults) else {
            let text = "\(prefix)\(version)\n"
            return try Disk.replaceFile(
                "VERSION", in: path, with: Array(text.utf8), faults: faults)
        }
        let text = String(decoding: try file.read(count: 64, at: 0), as: UTF8.self)
        guard text.hasPrefix(prefix), text.hasSuffix("\n"),
            let found = Int(text.dropFirst(prefix.count).dropLast()), found >= 1
        else {
            throw PetalsError(
                .corrupt,
                "\(path)/VERSION does not say that this is a state folder of petalsfs; give "
                    + "another --state, or remove that file if the folder is one")
        }
        guard found <= version else {
            throw PetalsError(
                .unsupportedVersion,
                "the state folder \(path) was made by a newer petalsfs (its version is \(found), "
                    + "this petalsfs knows \(version)); install the newer one or give another "
                    + "--state")
        }
    }

    static func absolute(_ path: String) -> String {
        let full =
            path.hasPrefix("/")
            ? path : FileManager.default.currentDirectoryPath + "/" + path
        return (full as NSString).standardizingPath
    }
}
