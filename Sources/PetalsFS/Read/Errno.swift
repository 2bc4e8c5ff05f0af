internal import Glibc

/// An error number of the operating system: what the kernel is told.
package struct Errno: Error, Hashable, Sendable, RawRepresentable, CustomStringConvertible {
    /// The number as `errno` has it, positive.
    package let rawValue: Int32

    /// Wraps a number; 0 is no error.
    package init(rawValue: Int32) {
        self.rawValue = rawValue
    }

    /// No error: the answer of a call that has nothing to say.
    package static let none = Errno(rawValue: 0)
    /// The name does not exist.
    package static let notFound = Errno(rawValue: ENOENT)
    /// The name exists, and what it stands for is on its way.
    package static let tryAgain = Errno(rawValue: EAGAIN)
    /// Reading or fetching failed.
    package static let inputOutput = Errno(rawValue: EIO)
    /// The wait was ended by whoever asked.
    package static let interrupted = Errno(rawValue: EINTR)
    /// A file stands where a directory is needed.
    package static let notDirectory = Errno(rawValue: ENOTDIR)
    /// A directory stands where a file is needed.
    package static let isDirectory = Errno(rawValue: EISDIR)
    /// The request makes no sense.
    package static let invalid = Errno(rawValue: EINVAL)
    /// Nothing here can be written.
    package static let readOnly = Errno(rawValue: EROFS)
    /// There is no such extended attribute.
    package static let noAttribute = Errno(rawValue: ENODATA)
    /// The caller's buffer is too small.
    package static let range = Errno(rawValue: ERANGE)
    /// An inode or handle that this session does not know (any more).
    package static let stale = Errno(rawValue: ESTALE)

    /// The number, for logs.
    package var description: String { "errno \(rawValue)" }
}
