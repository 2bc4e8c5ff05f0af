internal import Foundation
internal import Glibc

/// What is done to mounts from outside, without ever waiting for whoever serves them.
enum MountControl {
    /// Detaches what is mounted at a path; open files in it go on until they are closed.
    ///
    /// - Returns: whether something was detached.
    static func detach(_ path: String) -> Bool {
        // SAFETY: the string lives through the call; UMOUNT_NOFOLLOW, since the path has no links.
        if unsafe umount2(path, Int32(MNT_DETACH) | Int32(UMOUNT_NOFOLLOW)) == 0 { return true }
        // Without the right to unmount, libfuse's helper does it for the mount's owner.
        let helper = Process()
        helper.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        helper.arguments = ["fusermount3", "-u", "-z", "-q", "--", path]
        helper.standardInput = FileHandle.nullDevice
        do {
            try helper.run()
        } catch {
            return false
        }
        helper.waitUntilExit()
        return helper.terminationStatus == 0
    }

    /// Severs a FUSE connection: everybody who waits on it, on either side, gets an error.
    ///
    /// - Parameter device: `0:MINOR` of the mount; the connection has the same number.
    static func abort(device: String) -> Bool {
        guard let minor = device.split(separator: ":").last else { return false }
        return write("1", to: "/sys/fs/fuse/connections/\(minor)/abort")
    }

    /// Lets the kernel read ahead a mebibyte; it starts with 128 KiB whatever the daemon asks for.
    static func raiseReadAhead(device: String) -> Bool {
        write("2048", to: "/sys/class/bdi/\(device)/read_ahead_kb")
    }

    private static func write(_ text: String, to path: String) -> Bool {
        guard let file = FileHandle(forWritingAtPath: path) else { return false }
        do {
            try file.write(contentsOf: Data(text.utf8))
            try file.close()
            return true
        } catch {
            return false
        }
    }
}
