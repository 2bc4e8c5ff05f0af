internal import CFuse3
internal import Foundation
internal import Glibc
package import Logging
package import PetalsCore
internal import Synchronization

/// A directory that is fit to be mounted on.
package struct MountPoint: Hashable, Sendable {
    /// Absolute and without symbolic links.
    package let path: String

    static let fileSystemType = "fuse.petalsfs"
    /// How long a mount that is there already may take to say that it lives.
    private static let answerSeconds = 3.0

    /// Checks a directory, and clears what a crash may have left mounted on it.
    ///
    /// A mount point is never touched before the mount table has been asked, and a mount only from
    /// a thread of its own: a daemon that is stuck would make this process wait for ever.
    ///
    /// - Throws: `PetalsError.badInput`, `.busy`, `.notFound` or `.system`, each with what to do.
    package static func prepare(
        _ path: String, options: MountOptions, logger: Logger
    ) throws(PetalsError) -> MountPoint {
        guard FileManager.default.fileExists(atPath: "/dev/fuse") else {
            throw PetalsError(
                .system,
                "/dev/fuse is missing, so nothing can be mounted; load the kernel module (modprobe "
                    + "fuse) or start the container with --device /dev/fuse --cap-add SYS_ADMIN")
        }
        let point = MountPoint(path: try resolve(path))
        // One layer for each crash that nobody cleaned up after; eight are more than patience.
        for _ in 0..<8 {
            guard let mount = MountTable.read().mount(at: point.path) else {
                try point.checkDirectory(options)
                return point
            }
            try point.checkDead(mount)
            logger.notice("\(point.path): a mount that a crash left behind is cleared away")
            guard MountControl.detach(point.path) else { break }
        }
        throw PetalsError(
            .busy,
            "\(point.path) has a dead mount that cannot be cleared; run fusermount3 -u -z "
                + "\(point.path) or umount -l \(point.path) as root")
    }

    /// Throws unless the mount is one of ours whose daemon is gone.
    private func checkDead(_ mount: MountTable.Mount) throws(PetalsError) {
        guard mount.type == Self.fileSystemType else {
            throw PetalsError(
                .busy,
                "\(path) is a mount of type \(mount.type) already; unmount it or choose another "
                    + "directory")
        }
        switch Self.answer(of: path) {
        case .dead: return
        case .alive:
            throw PetalsError(
                .busy,
                "\(path) is mounted by a petalsfs that is running; run petalsfs umount \(path) "
                    + "first or choose another directory")
        case .silent:
            throw PetalsError(
                .busy,
                "\(path) is mounted by a petalsfs that does not answer; end that process (kill "
                    + "-9) and try again")
        }
    }

    private enum Answer { case alive, dead, silent }

    /// Asks a mount whether it lives.
    ///
    /// By statfs, which the kernel never answers from a cache: attributes of the root are cached
    /// for ever, and a stat of a dead mount succeeds.
    private static func answer(of path: String) -> Answer {
        let box = AnswerBox()
        let done = DispatchSemaphore(value: 0)
        let thread = Thread {
            var statistics = statvfs()
            // SAFETY: the structure outlives the call, which writes to it and keeps nothing.
            let failed = unsafe statvfs(path, &statistics) != 0
            let code = errno
            let dead = failed && [ENOTCONN, ECONNABORTED].contains(code)
            box.value.withLock { $0 = dead ? .dead : .alive }
            done.signal()
        }
        thread.start()
        guard done.wait(timeout: .now() + answerSeconds) == .success else { return .silent }
        return box.value.withLock { $0 }
    }

    private final class AnswerBox: Sendable {
        let value = Mutex(Answer.silent)
    }

    private func checkDirectory(_ options: MountOptions) throws(PetalsError) {
        var isDirectory: ObjCBool = false
        // SAFETY: the flag outlives the call, which writes to it and keeps nothing.
        guard unsafe FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory) else {
            throw PetalsError(
                .notFound, "there is no directory \(path); create it (mkdir -p) and try again")
        }
        guard isDirectory.boolValue else {
            throw PetalsError(
                .badInput, "\(path) is not a directory; models are mounted on a directory")
        }
        guard !options.nonEmpty else { return }
        let names: [String]
        do {
            names = try FileManager.default.contentsOfDirectory(atPath: path)
        } catch {
            throw PetalsError(
                .system, "\(path) cannot be read (\(error.localizedDescription)); check its owner")
        }
        guard names.isEmpty else {
            throw PetalsError(
                .badInput,
                "\(path) is not empty, and the mount would hide what is in it; choose an empty "
                    + "directory or give -o nonempty")
        }
    }

    /// Makes a path absolute and free of symbolic links, without touching a mount at its end.
    static func resolve(_ path: String) throws(PetalsError) -> String {
        let mounts = MountTable.read()
        var current = path
        // As many links as Linux follows (path_resolution(7)).
        for _ in 0..<40 {
            let url = current as NSString
            let last = url.lastPathComponent
            if ["", "/", ".", ".."].contains(last) { return try realPath(current) }
            let above = url.deletingLastPathComponent
            let parent = try realPath(above.isEmpty ? "." : above)
            let candidate = (parent as NSString).appendingPathComponent(last)
            if mounts.mount(at: candidate) != nil { return candidate }
            let manager = FileManager.default
            // An error says that it is no link, which is the normal case.
            guard let target = try? manager.destinationOfSymbolicLink(atPath: candidate) else {
                return candidate
            }
            current =
                target.hasPrefix("/")
                ? target : (parent as NSString).appendingPathComponent(target)
        }
        throw PetalsError(.badInput, "\(path) is a chain of links without an end; name a directory")
    }

    private static func realPath(_ path: String) throws(PetalsError) -> String {
        // SAFETY: realpath allocates its answer when it is given no buffer; it is freed below,
        // after it was copied into a string.
        guard let resolved = unsafe realpath(path, nil) else {
            throw PetalsError(
                .notFound, "there is no directory \(path); create it (mkdir -p) and try again")
        }
        // SAFETY: see above; nobody else has the pointer.
        defer { unsafe free(resolved) }
        // SAFETY: realpath ends its answer with a zero.
        return unsafe String(cString: resolved)
    }
}
