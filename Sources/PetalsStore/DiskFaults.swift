/// A disk that fails on purpose; only tests make one.
package struct DiskFaults: Sendable {
    /// What is about to happen to a file.
    package enum Operation: Sendable {
        case open, read, write, resize, punch, sync, rename
    }

    /// What goes wrong.
    package enum Fault: Sendable {
        /// The call fails with this errno and does nothing.
        case fail(Int32)
        /// A write does only its first bytes and then fails with this errno.
        case torn(Int, Int32)
        /// The system takes this many bytes of a write at a time, which is no error.
        case short(Int)
    }

    /// Called before each operation with the file's path and a number of bytes; nil lets it be.
    package let on: @Sendable (Operation, String, Int) -> Fault?

    /// Makes a disk that fails as `on` says.
    package init(on: @escaping @Sendable (Operation, String, Int) -> Fault?) {
        self.on = on
    }
}
