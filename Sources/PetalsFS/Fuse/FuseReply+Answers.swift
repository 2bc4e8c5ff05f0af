internal import CFuse3
internal import Glibc

/// The user and group that all files belong to: the ones that mounted.
struct FileOwner: Sendable {
    let user: UInt32
    let group: UInt32
}

extension FuseReply {
    /// For ever, in seconds, and still a number that fits the kernel's 64 bits of jiffies.
    ///
    /// Names that change are taken back by `FuseSession.forgetNames`.
    private static let foreverSeconds = Double(UInt32.max)

    /// Answers a lookup; the kernel may keep name and attributes, unless petalsfs makes the file.
    ///
    /// - Returns: false where nobody heard the answer.
    consuming func answer(entry attributes: NodeAttributes, owner: FileOwner) -> Bool {
        var entry = fuse_entry_param()
        entry.ino = attributes.inode
        entry.attr = attributes.status(owner: owner)
        entry.attr_timeout = attributes.isControl ? 0 : Self.foreverSeconds
        entry.entry_timeout = entry.attr_timeout
        // SAFETY: the request is live until it is answered here; the entry is copied.
        return answer { unsafe fuse_reply_entry(OpaquePointer(bitPattern: $0), &entry) } == 0
    }

    /// Answers a getattr.
    consuming func answer(attributes: NodeAttributes, owner: FileOwner) {
        var status = attributes.status(owner: owner)
        // The root changes with its models, and is asked for rarely.
        let isFixed = !attributes.isControl && attributes.inode != TreeStore.rootInode
        let timeout = isFixed ? Self.foreverSeconds : 0
        // SAFETY: the request is live until it is answered here; the status is copied.
        answer { unsafe fuse_reply_attr(OpaquePointer(bitPattern: $0), &status, timeout) }
    }

    /// Answers an open or opendir with what libfuse handed in, completed by the caller.
    ///
    /// - Returns: false where nobody heard the answer; no release will come.
    consuming func answer(opened information: fuse_file_info) -> Bool {
        // SAFETY: the request is live until it is answered here; the information is copied.
        var information = information
        return answer { unsafe fuse_reply_open(OpaquePointer(bitPattern: $0), &information) } == 0
    }

    /// Answers a statfs.
    consuming func answer(statistics: MountStatistics, files: Int) {
        var status = statvfs()
        let block = NodeAttributes.blockBytes
        let limit = max(statistics.limitBytes, statistics.usedBytes, block)
        status.f_bsize = UInt(block)
        status.f_frsize = UInt(block)
        status.f_blocks = UInt(limit / block)
        status.f_bfree = UInt((limit - max(0, statistics.usedBytes)) / block)
        status.f_bavail = status.f_bfree
        status.f_files = UInt(max(1, files))
        status.f_namemax = 255
        // SAFETY: the request is live until it is answered here; the status is copied.
        answer { unsafe fuse_reply_statfs(OpaquePointer(bitPattern: $0), &status) }
    }

    /// Answers a getxattr or listxattr: the value, or its length where `capacity` is 0.
    consuming func answer(attribute value: [UInt8], capacity: Int) {
        if capacity == 0 {
            // SAFETY: the request is live until it is answered here.
            answer { unsafe fuse_reply_xattr(OpaquePointer(bitPattern: $0), value.count) }
        } else if capacity < value.count {
            answer(error: .range)
        } else {
            answer(buffer: value)
        }
    }

    /// Answers a readdir, getxattr or listxattr with bytes.
    consuming func answer(buffer: [UInt8]) {
        // SAFETY: the array owns the bytes until the call returns, which copies them.
        answer { request in
            unsafe buffer.withUnsafeBytes { bytes in
                unsafe fuse_reply_buf(
                    OpaquePointer(bitPattern: request), bytes.baseAddress, bytes.count)
            }
        }
    }

    /// Answers a forget, which has no answer.
    consuming func answerNothing() {
        // SAFETY: the request is live until it is ended here.
        answer { request in
            unsafe fuse_reply_none(OpaquePointer(bitPattern: request))
            return 0
        }
    }
}

extension NodeAttributes {
    /// The attributes as the C library writes them.
    func status(owner: FileOwner) -> stat {
        var status = stat()
        status.st_ino = UInt(inode)
        status.st_mode = (isDirectory ? S_IFDIR : S_IFREG) | permissions
        status.st_nlink = UInt(linkCount)
        status.st_uid = owner.user
        status.st_gid = owner.group
        status.st_size = size
        status.st_blksize = Self.blockBytes
        status.st_blocks = blocks
        let time = timespec(tv_sec: Int(modified), tv_nsec: 0)
        status.st_mtim = time
        status.st_ctim = time
        status.st_atim = time
        return status
    }
}
