internal import Foundation

/// The mounts that this process sees, from `/proc/self/mountinfo` (proc(5)); nothing is touched.
struct MountTable: Sendable {
    struct Mount: Hashable, Sendable {
        /// `MAJOR:MINOR` of the mounted file system.
        let device: String
        let path: String
        /// As in `fuse.petalsfs`.
        let type: String
    }

    /// In the order of mounting: of several mounts on one path, the last one is seen.
    let mounts: [Mount]

    /// The table as it is now; empty where /proc is missing.
    static func read() -> MountTable {
        let bytes = FileManager.default.contents(atPath: "/proc/self/mountinfo")
        return MountTable(parsing: String(decoding: bytes ?? Data(), as: UTF8.self))
    }

    /// Reads the lines that it understands and leaves out the others.
    init(parsing text: String) {
        // 36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue
        mounts = text.split(separator: "\n").compactMap { line in
            let fields = line.split(separator: " ", omittingEmptySubsequences: false)
            guard fields.count > 6, let dash = fields[6...].firstIndex(of: "-"),
                dash + 1 < fields.count
            else { return nil }
            return Mount(
                device: String(fields[2]), path: Self.unescaped(fields[4]),
                type: String(fields[dash + 1]))
        }
    }

    /// What is seen at a path that is absolute and has no symbolic links.
    func mount(at path: String) -> Mount? { mounts.last { $0.path == path } }

    /// Space, tab, newline and backslash are written as `\` and three octal digits.
    private static func unescaped(_ field: Substring) -> String {
        var bytes: [UInt8] = []
        var rest = field.utf8[...]
        while let byte = rest.popFirst() {
            let digits = rest.prefix(3)
            if byte == UInt8(ascii: "\\"), digits.count == 3,
                let value = UInt8(String(decoding: digits, as: UTF8.self), radix: 8)
            {
                bytes.append(value)
                rest = rest.dropFirst(3)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
