internal import Foundation
internal import Glibc
internal import PetalsCore

/// Folders and whole files: what is done by name and not through an open file.
enum Disk {
    /// Makes a folder that only its owner may enter; one that exists is made so.
    static func makeFolder(_ path: String) throws(PetalsError) {
        // SAFETY: the path is passed as a NUL-terminated copy that lives through the call.
        if unsafe mkdir(path, 0o700) != 0, errno != EEXIST {
            throw .disk("create", path, errno)
        }
        // SAFETY: as above.
        guard unsafe chmod(path, 0o700) == 0 else { throw .disk("set the mode of", path, errno) }
    }

    /// Makes the folders above `path`, which are not ours to restrict once they exist.
    static func makeParents(of path: String) throws(PetalsError) {
        let parent = (path as NSString).deletingLastPathComponent
        // SAFETY: the path is passed as a NUL-terminated copy that lives through the call.
        guard !parent.isEmpty, parent != "/", unsafe access(parent, F_OK) != 0 else { return }
        try makeParents(of: parent)
        // SAFETY: as above.
        if unsafe mkdir(parent, 0o700) != 0, errno != EEXIST {
            throw .disk("create", parent, errno)
        }
    }

    /// The names in a folder, sorted; none where there is no such folder.
    static func names(in folder: String) throws(PetalsError) -> [String] {
        do {
            return try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
        } catch CocoaError.fileReadNoSuchFile, CocoaError.fileNoSuchFile {
            return []
        } catch {
            throw PetalsError(
                .system, "cannot list the folder \(folder): \(error.localizedDescription)")
        }
    }

    /// Removes a file; one that is missing is removed already.
    static func removeFile(_ path: String) throws(PetalsError) {
        // SAFETY: the path is passed as a NUL-terminated copy that lives through the call.
        if unsafe unlink(path) != 0, errno != ENOENT { throw .disk("remove", path, errno) }
    }

    /// Removes a folder and the files in it; the store's folders hold no folders.
    static func removeFolder(_ path: String) throws(PetalsError) {
        for name in try names(in: path) { try removeFile(path + "/" + name) }
        // SAFETY: the path is passed as a NUL-terminated copy that lives through the call.
        if unsafe rmdir(path) != 0, errno != ENOENT { throw .disk("remove", path, errno) }
    }

    /// Puts a file in place so that after a crash there is the old one or the new one, whole.
    ///
    /// Written beside it, saved, renamed, and the folder saved.
    static func replaceFile(
        _ name: String, in folder: String, with bytes: [UInt8], faults: DiskFaults? = nil
    ) throws(PetalsError) {
        let path = folder + "/" + name
        let part = path + temporaryMark + String(UInt64.random(in: 0...UInt64.max), radix: 36)
        do throws(PetalsError) {
            let file = try DiskFile.create(part, faults: faults)
            try file.write(bytes, at: 0)
            try file.sync()
            try move(part, to: path, faults: faults)
        } catch {
            // The first failure is the one to report; what is left lies in wait for the garbage
            // collection, which knows temporary files by their mark.
            try? removeFile(part)
            throw error
        }
        try syncFolder(folder)
    }

    /// Gives a file or a folder another place in the same file system, in one step.
    ///
    /// What is there, a file or an empty folder, is replaced.
    static func move(
        _ source: String, to target: String, faults: DiskFaults?
    ) throws(PetalsError) {
        if case .fail(let code)? = faults?.on(.rename, target, 0) {
            throw .disk("put in place", target, code)
        }
        // SAFETY: both paths are passed as NUL-terminated copies that live through the call.
        guard unsafe rename(source, target) == 0 else {
            throw .disk("put in place", target, errno)
        }
    }

    /// Waits until the names in a folder are on the disk.
    static func syncFolder(_ path: String) throws(PetalsError) {
        guard let folder = try DiskFile.open(path, .reading) else {
            throw .disk("open", path, ENOENT)
        }
        try folder.sync()
    }

    /// How much of the disk under a folder is free; one system call.
    ///
    /// - Throws: `.system` when the folder cannot be examined.
    static func readSpace(_ folder: String) throws(PetalsError) -> DiskSpace {
        var status = statvfs()
        // SAFETY: `status` is a valid place for one struct statvfs during the call, and the path is
        // passed as a NUL-terminated copy that lives through it.
        guard unsafe statvfs(folder, &status) == 0 else {
            throw .disk("ask for the free space of", folder, errno)
        }
        func bytes(_ blocks: UInt) -> Int {
            let (product, isTooLarge) = blocks.multipliedReportingOverflow(by: status.f_frsize)
            return isTooLarge ? .max : Int(clamping: product)
        }
        return DiskSpace(size: bytes(status.f_blocks), free: bytes(status.f_bavail))
    }

    /// What the names of files that are being written contain.
    static let temporaryMark = ".part-"
}

extension PetalsError {
    /// A failed system call as a sentence; a full disk gets a code of its own.
    static func disk(_ verb: String, _ path: String, _ code: CInt) -> PetalsError {
        // SAFETY: strerror gives a NUL-terminated text that is valid until this thread's next call
        // (glibc 2.32 and later).
        let reason = unsafe String(cString: strerror(code))
        switch code {
        case ENOSPC, EDQUOT:
            return PetalsError(
                .noSpace,
                "cannot \(verb) \(path): the disk is full; free some space there, or give another "
                    + "folder with --state")
        case EACCES, EPERM, EROFS:
            return PetalsError(
                .system, "cannot \(verb) \(path): \(reason); check who owns it and its mode")
        case ELOOP:
            return PetalsError(
                .system,
                "cannot \(verb) \(path): it is a symbolic link, which petalsfs does not follow "
                    + "there; remove it")
        default:
            return PetalsError(
                .system, "cannot \(verb) \(path): \(reason); check the disk and try again")
        }
    }
}
