/// The number by which the kernel knows a file or directory; never reused in a session.
package typealias Inode = UInt64

/// What `stat` shows of a file or directory.
package struct NodeAttributes: Hashable, Sendable {
    package let inode: Inode
    package let isDirectory: Bool
    /// Permission bits: 0o444, or 0o555 for directories and executables.
    package let permissions: UInt32
    package let size: Int
    package let linkCount: Int
    /// Seconds since 1970.
    package let modified: Int64
    /// Made by petalsfs itself, and different at each open: neither cached nor sized in advance.
    package let isControl: Bool

    /// The preferred size of a read, and the unit that size is rounded up to.
    package static let blockBytes = 4096

    /// Units of 512 bytes, as `st_blocks` counts.
    package var blocks: Int { size / 512 + (size % 512 == 0 ? 0 : 1) }
}

/// One line of a directory.
package struct DirectoryEntry: Hashable, Sendable {
    package let name: String
    package let inode: Inode
    package let isDirectory: Bool
}
