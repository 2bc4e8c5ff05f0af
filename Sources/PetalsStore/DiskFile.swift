internal import Glibc
package import PetalsCore

/// An open file of the state folder, or a published file that is served where it lies.
///
/// A class, so that the file stays open for whoever is in the middle of reading it while the table
/// of open files lets go of it. All calls name their offset, so threads share it freely.
final class DiskFile: Sendable {
    /// What a file is opened for.
    enum Access: Sendable {
        /// Reading a file that may be missing.
        case reading
        /// Reading and writing a file that may be missing.
        case writing
        /// Reading and writing; the file is made where it is missing.
        case creating
    }

    let path: String
    private let descriptor: CInt
    private let faults: DiskFaults?

    private init(path: String, descriptor: CInt, faults: DiskFaults?) {
        self.path = path
        self.descriptor = descriptor
        self.faults = faults
    }

    deinit {
        // Nothing is buffered in a descriptor, so there is nothing that closing could lose.
        _ = close(descriptor)
    }

    /// Opens a file; nil where it is missing and `access` does not make it.
    ///
    /// A symbolic link in the last place is refused unless `followLinks` is set, which is only for
    /// published files: their owner may keep them behind a link.
    static func open(
        _ path: String, _ access: Access, followLinks: Bool = false, faults: DiskFaults? = nil
    ) throws(PetalsError) -> DiskFile? {
        if case .fail(let code)? = faults?.on(.open, path, 0) {
            throw .disk("open", path, code)
        }
        var flags = O_CLOEXEC | O_NONBLOCK
        if !followLinks { flags |= O_NOFOLLOW }
        switch access {
        case .reading: flags |= O_RDONLY
        case .writing: flags |= O_RDWR
        case .creating: flags |= O_RDWR | O_CREAT
        }
        // SAFETY: the path is passed as a NUL-terminated copy that lives through the call.
        let descriptor = retrying { unsafe Glibc.open(path, flags, 0o600) }
        if descriptor < 0 {
            let code = errno
            if code == ENOENT { return nil }
            throw .disk("open", path, code)
        }
        let file = DiskFile(path: path, descriptor: descriptor, faults: faults)
        // The mode given to open(2) passes through the umask; this one does not.
        if access == .creating, fchmod(descriptor, 0o600) != 0 {
            throw .disk("set the mode of", path, errno)
        }
        return file
    }

    /// Opens a file and makes it where it is missing.
    static func create(_ path: String, faults: DiskFaults? = nil) throws(PetalsError) -> DiskFile {
        guard let file = try open(path, .creating, faults: faults) else {
            throw .disk("create", path, ENOENT)
        }
        return file
    }

    /// Reads up to `count` bytes at `offset`; fewer where the file ends.
    func read(count: Int, at offset: Int) throws(PetalsError) -> [UInt8] {
        if case .fail(let code)? = faults?.on(.read, path, count) {
            throw .disk("read", path, code)
        }
        var failure: PetalsError?
        // SAFETY: the buffer has `count` bytes, and only those count that `fill` has written.
        let bytes = unsafe [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
            let target = unsafe UnsafeMutableRawBufferPointer(
                start: buffer.baseAddress, count: count)
            do throws(PetalsError) {
                initialized = try unsafe fill(target, at: offset)
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
        return bytes
    }

    /// Reads as many bytes as `target` has from `offset` on; fewer where the file ends.
    ///
    /// - Returns: the number of bytes read.
    func read(into target: UnsafeMutableRawBufferPointer, at offset: Int) throws(PetalsError) -> Int
    {
        if case .fail(let code)? = faults?.on(.read, path, target.count) {
            throw .disk("read", path, code)
        }
        // SAFETY: the caller owns the target during the call.
        return try unsafe fill(target, at: offset)
    }

    // SAFETY: pread writes at most `target.count - done` bytes behind `done`, inside the target.
    private func fill(
        _ target: UnsafeMutableRawBufferPointer, at offset: Int
    ) throws(PetalsError) -> Int {
        guard let base = target.baseAddress else { return 0 }
        var done = 0
        while done < target.count {
            let result = retrying {
                unsafe pread(descriptor, base + done, target.count - done, offset + done)
            }
            guard result >= 0 else { throw .disk("read", path, errno) }
            guard result > 0 else { break }
            done += result
        }
        return done
    }

    /// Writes all of `bytes` at `offset`.
    ///
    /// - Throws: `.noSpace` where the disk is full, with some of the bytes perhaps written.
    func write(_ bytes: [UInt8], at offset: Int) throws(PetalsError) {
        // SAFETY: the array lends its bytes until the call returns.
        try unsafe bytes.withUnsafeBufferPointer { (buffer) throws(PetalsError) in
            try unsafe write(UnsafeRawBufferPointer(buffer), at: offset)
        }
    }

    /// Writes all of a buffer at `offset`.
    ///
    /// - Throws: as above.
    func write(_ buffer: UnsafeRawBufferPointer, at offset: Int) throws(PetalsError) {
        var end = buffer.count
        var step = end
        var code: CInt = 0
        switch faults?.on(.write, path, end) {
        case .fail(let injected): (end, code) = (0, injected)
        case .torn(let count, let injected): (end, code) = (min(count, end), injected)
        case .short(let count): step = max(count, 1)
        case nil: break
        }
        var done = 0
        while done < end, let base = buffer.baseAddress {
            let part = min(step, end - done)
            // SAFETY: pwrite reads `part` bytes behind `done`, inside the caller's buffer.
            let result = retrying { unsafe pwrite(descriptor, base + done, part, offset + done) }
            // A write of nothing is what a full disk may look like.
            guard result > 0 else { throw .disk("write", path, result < 0 ? errno : ENOSPC) }
            done += result
        }
        if code != 0 { throw .disk("write", path, code) }
    }

    /// Gives `range` back to the disk; it reads as zeros afterwards.
    ///
    /// Where the file system cannot make holes, zeros are written instead, which frees nothing.
    ///
    /// - Returns: whether the disk has the space back.
    @discardableResult
    func punch(_ range: Range<Int>) throws(PetalsError) -> Bool {
        guard !range.isEmpty else { return true }
        if case .fail(let code)? = faults?.on(.punch, path, range.count) {
            throw .disk("free a part of", path, code)
        }
        if let fallocate {
            // FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE of linux/falloc.h.
            let result = retrying { fallocate(descriptor, 1 | 2, range.lowerBound, range.count) }
            guard result != 0 else { return true }
            guard errno == EOPNOTSUPP else { throw .disk("free a part of", path, errno) }
        }
        let zeros = [UInt8](repeating: 0, count: min(range.count, Limits.cellBytes))
        for start in stride(from: range.lowerBound, to: range.upperBound, by: zeros.count) {
            let count = min(zeros.count, range.upperBound - start)
            try write(Array(zeros.prefix(count)), at: start)
        }
        return false
    }

    /// Sets the file's length; what is added is a hole.
    func setLength(_ length: Int) throws(PetalsError) {
        if case .fail(let code)? = faults?.on(.resize, path, length) {
            throw .disk("resize", path, code)
        }
        guard retrying({ ftruncate(descriptor, length) }) == 0 else {
            throw .disk("resize", path, errno)
        }
    }

    /// Waits until the file is on the disk.
    func sync() throws(PetalsError) {
        if case .fail(let code)? = faults?.on(.sync, path, 0) {
            throw .disk("save", path, code)
        }
        guard retrying({ fsync(descriptor) }) == 0 else { throw .disk("save", path, errno) }
    }

    /// Lets the disk begin to save `range`, and does not wait for it.
    ///
    /// It promises nothing: `sync` does, and has less left to do then.
    func startSaving(_ range: Range<Int>) {
        // SYNC_FILE_RANGE_WRITE of linux/fs.h. A file system that refuses saves it all in `sync`.
        _ = syncFileRange?(descriptor, range.lowerBound, range.count, 2)
    }

    /// The file's length, its times and its place.
    func readStamp() throws(PetalsError) -> FileStamp {
        try readStatus().stamp
    }

    /// Bytes that the disk has set aside for the file.
    func readAllocated() throws(PetalsError) -> Int {
        try readStatus().allocated
    }

    private func readStatus() throws(PetalsError) -> (stamp: FileStamp, allocated: Int) {
        var status = stat()
        // SAFETY: `status` is a valid place for one struct stat during the call.
        guard unsafe fstat(descriptor, &status) == 0 else { throw .disk("examine", path, errno) }
        let stamp = FileStamp(
            size: status.st_size,
            modified: Self.nanoseconds(status.st_mtim),
            changed: Self.nanoseconds(status.st_ctim),
            inode: Int(truncatingIfNeeded: status.st_ino),
            isRegular: status.st_mode & S_IFMT == S_IFREG)
        return (stamp, status.st_blocks &* 512)
    }

    private static func nanoseconds(_ time: timespec) -> Int {
        time.tv_sec &* 1_000_000_000 &+ time.tv_nsec
    }

    /// Takes flock(2) without waiting.
    ///
    /// - Returns: whether the lock is ours now; it goes with the file.
    func lock(shared: Bool = false) throws(PetalsError) -> Bool {
        let kind = (shared ? LOCK_SH : LOCK_EX) | LOCK_NB
        guard retrying({ flock(descriptor, kind) }) != 0 else { return true }
        if errno == EWOULDBLOCK { return false }
        throw .disk("lock", path, errno)
    }
}

/// What tells a file from a changed one: size, times and inode.
package struct FileStamp: Hashable, Sendable {
    /// Bytes of the file.
    package let size: Int
    /// mtime, nanoseconds since 1970.
    package let modified: Int
    /// ctime, nanoseconds since 1970; unlike mtime it cannot be set back.
    package let changed: Int
    /// The inode's number in its file system.
    package let inode: Int
    /// Whether it is a file and not a device, pipe or directory.
    package let isRegular: Bool

    /// Makes the stamp of a file from its numbers.
    package init(size: Int, modified: Int, changed: Int, inode: Int, isRegular: Bool = true) {
        self.size = size
        self.modified = modified
        self.changed = changed
        self.inode = inode
        self.isRegular = isRegular
    }

    /// Reads the stamp of the file at `path`, following links.
    ///
    /// - Throws: `.notFound` or `.system` naming the path.
    package init(readingFileAt path: String) throws(PetalsError) {
        guard let file = try DiskFile.open(path, .reading, followLinks: true) else {
            throw PetalsError(.notFound, "there is no file \(path); check the path")
        }
        self = try file.readStamp()
    }
}

/// fallocate(2), which <fcntl.h> shows only to those who define _GNU_SOURCE before; Swift does not.
private let fallocate: (@convention(c) (CInt, CInt, Int, Int) -> CInt)? = {
    // SAFETY: glibc exports this function since 2.10 with exactly this C type (off_t has 64 bits on
    // all platforms that Swift supports), and a null handle means the whole program.
    unsafe dlsym(nil, "fallocate").map {
        unsafe unsafeBitCast($0, to: (@convention(c) (CInt, CInt, Int, Int) -> CInt).self)
    }
}()

/// sync_file_range(2), hidden like fallocate.
private let syncFileRange: (@convention(c) (CInt, Int, Int, CUnsignedInt) -> CInt)? = {
    // SAFETY: glibc exports this function since 2.6 with exactly this C type; as above.
    unsafe dlsym(nil, "sync_file_range").map {
        unsafe unsafeBitCast(
            $0, to: (@convention(c) (CInt, Int, Int, CUnsignedInt) -> CInt).self)
    }
}()

/// Repeats a system call while a signal interrupts it.
private func retrying<Result: SignedInteger>(_ call: () -> Result) -> Result {
    while true {
        let result = call()
        if result < 0, errno == EINTR { continue }
        return result
    }
}
