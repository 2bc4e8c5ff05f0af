/// The number by which the kernel knows a file or directory; never reused in a session.
package typealias Inode = UInt64

/// What `stat` shows of a file or directory.
package struct NodeAttributes: Hashable, Sendable {
    /// The number that the kernel knows it by.
    package let inode: Inode
    /// Whether it is a directory, else a regular file.
    package let isDirectory: Bool
    /// Permission bits: 0o444, or 0o555 for directories and executables.
    package let permissions: UInt32
    /// Bytes; 0 for a control file, whose size nobody knows before it is opened.
    package let size: Int
    /// 1, or 2 and one for each directory in a directory.
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
    /// One component of a path.
    package let name: String
    /// The number that a lookup of the name gives.
    package let inode: Inode
    /// Whether it is a directory, else a regular file.
    package let isDirectory: Bool
}
