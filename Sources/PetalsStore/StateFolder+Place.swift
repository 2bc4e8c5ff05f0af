internal import Foundation
internal import Glibc
package import PetalsCore

// Where a state folder lies: what a person gave with --state may be a file, or a place in which he
// may not write. That is said as such, before a system call fails on some file inside of it.

extension StateFolder {
    /// Whether there is a state folder at `path`; an empty folder is none.
    ///
    /// - Throws: `.system` where the path cannot be one, saying what it is.
    package static func exists(at path: String) throws(PetalsError) -> Bool {
        let path = absolute(path)
        try checkPlace(path)
        if try DiskFile.open(path + "/VERSION", .reading) != nil { return true }
        return try DiskFile.open(path + "/petals.sqlite", .reading) != nil
    }

    /// Throws where `path` cannot be a state folder, or be made one.
    ///
    /// - Parameter making: whether it is made where it is missing.
    static func checkPlace(_ path: String, making: Bool = false) throws(PetalsError) {
        var place = path
        while place.count > 1, isMissing(place) {
            place = (place as NSString).deletingLastPathComponent
        }
        let subject = "the state folder \(path) cannot be \(place == path ? "used" : "made")"
        var isFolder: ObjCBool = false
        // SAFETY: the flag outlives the call, which writes to it and keeps nothing.
        let isThere = unsafe FileManager.default.fileExists(atPath: place, isDirectory: &isFolder)
        guard !isThere || isFolder.boolValue else {
            let what = place == path ? "it is a file" : "\(place) is a file"
            throw PetalsError(.system, "\(subject): \(what); name a folder with --state")
        }
        guard making || place == path else { return }
        // SAFETY: the path is passed as a NUL-terminated copy that lives through the call.
        guard unsafe access(place, R_OK | W_OK | X_OK) != 0 else { return }
        // The mode of one's own folder is put right when it is opened.
        let owner = try? FileManager.default.attributesOfItem(atPath: place)[.ownerAccountID]
        guard place != path || (owner as? NSNumber)?.uint32Value != geteuid() else { return }
        throw PetalsError(
            .system,
            "\(subject): this user may not write to \(place); name a folder of your own with "
                + "--state")
    }

    private static func isMissing(_ path: String) -> Bool {
        // SAFETY: the path is passed as a NUL-terminated copy that lives through the call.
        unsafe access(path, F_OK) != 0 && (errno == ENOENT || errno == ENOTDIR)
    }
}
