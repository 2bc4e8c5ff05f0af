internal import CFuse3
internal import Glibc

// libfuse's callbacks: decode, call, reply, and no thought. Each runs on one of the session's
// threads, and none waits for anything.
//
// SAFETY (of all callbacks): libfuse hands in a request that is live until it is answered, and
// strings, structures and buffers that live until the callback returns; nothing here keeps them.

extension FuseSession {
    /// The callbacks of a session.
    ///
    /// `flock`, `getlk` and `setlk` are left to the kernel, which then keeps locks for this mount
    /// as for a local disk.
    static func operations() -> fuse_lowlevel_ops {
        var operations = fuse_lowlevel_ops()
        // SAFETY: see above.
        unsafe operations.`init` = { context, connection in
            guard let context = unsafe context, let connection = unsafe connection else { return }
            let session = unsafe Unmanaged<FuseSession>.fromOpaque(context).takeUnretainedValue()
            unsafe session.greet(&connection.pointee)
        }
        addNames(&operations)
        addDirectories(&operations)
        addFiles(&operations)
        addAttributes(&operations)
        addRefusals(&operations)
        return operations
    }

    private static func addNames(_ operations: inout fuse_lowlevel_ops) {
        // SAFETY: see the head of the file.
        unsafe operations.lookup = { request, parent, name in
            let session = unsafe FuseSession.of(request)
            let reply = unsafe session.reply(request)
            let bytes = unsafe nameBytes(name)
            if let model = session.tree.awaited(parent) {
                return session.tree.answer(reply, whenArrived: model, inode: parent)
            }
            do throws(Errno) {
                let found = try session.tree.lookup(parent: parent, name: bytes)
                if !reply.answer(entry: found, owner: session.owner) {
                    session.tree.forget(found.inode, count: 1)
                }
            } catch {
                reply.answer(error: error)
            }
        }
        unsafe operations.forget = { request, inode, count in
            let session = unsafe FuseSession.of(request)
            session.tree.forget(inode, count: count)
            unsafe session.reply(request).answerNothing()
        }
        unsafe operations.forget_multi = { request, count, list in
            let session = unsafe FuseSession.of(request)
            let forgotten = unsafe UnsafeBufferPointer(start: list, count: count)
            for index in forgotten.indices {
                let one = unsafe forgotten[index]
                session.tree.forget(one.ino, count: one.nlookup)
            }
            unsafe session.reply(request).answerNothing()
        }
        unsafe operations.getattr = { request, inode, _ in
            let session = unsafe FuseSession.of(request)
            let reply = unsafe session.reply(request)
            do throws(Errno) {
                let found = try session.tree.attributes(inode)
                reply.answer(attributes: found, owner: session.owner)
            } catch {
                reply.answer(error: error)
            }
        }
        unsafe operations.statfs = { request, _ in
            let session = unsafe FuseSession.of(request)
            unsafe session.reply(request).answer(
                statistics: session.statistics(), files: session.tree.fileCount)
        }
    }

    private static func addDirectories(_ operations: inout fuse_lowlevel_ops) {
        // SAFETY: see the head of the file.
        unsafe operations.opendir = { request, inode, information in
            let session = unsafe FuseSession.of(request)
            let reply = unsafe session.reply(request)
            if let model = session.tree.awaited(inode) {
                return session.tree.answer(reply, whenArrived: model, inode: inode)
            }
            do throws(Errno) {
                guard var opened = unsafe information?.pointee else { throw .invalid }
                let handle = try session.tree.openDirectory(inode)
                opened.fh = handle.handle
                opened.keep_cache = handle.isControl ? 0 : 1
                opened.cache_readdir = handle.isControl ? 0 : 1
                if !reply.answer(opened: opened) { session.tree.release(handle.handle) }
            } catch {
                reply.answer(error: error)
            }
        }
        unsafe operations.readdir = { request, _, size, offset, information in
            let session = unsafe FuseSession.of(request)
            let reply = unsafe session.reply(request)
            do throws(Errno) {
                let handle = unsafe information?.pointee.fh ?? 0
                let entries = try session.tree.entries(handle)
                let lines = packed(entries, from: offset, capacity: size, owner: session.owner)
                reply.answer(buffer: lines)
            } catch {
                reply.answer(error: error)
            }
        }
        unsafe operations.releasedir = { request, _, information in
            let session = unsafe FuseSession.of(request)
            session.tree.release(unsafe information?.pointee.fh ?? 0)
            unsafe session.reply(request).answer(error: .none)
        }
    }

    private static func addFiles(_ operations: inout fuse_lowlevel_ops) {
        // SAFETY: see the head of the file.
        unsafe operations.open = { request, inode, information in
            let session = unsafe FuseSession.of(request)
            let reply = unsafe session.reply(request)
            if let model = session.tree.awaited(inode) {
                return session.tree.answer(reply, whenArrived: model, inode: inode)
            }
            do throws(Errno) {
                guard var opened = unsafe information?.pointee else { throw .invalid }
                guard opened.flags & O_ACCMODE == O_RDONLY else { throw .readOnly }
                let handle = try session.tree.open(inode)
                opened.fh = handle.handle
                opened.keep_cache = handle.isControl ? 0 : 1
                opened.direct_io = handle.isControl ? 1 : 0
                opened.noflush = 1
                if !reply.answer(opened: opened) { session.tree.release(handle.handle) }
            } catch {
                reply.answer(error: error)
            }
        }
        unsafe operations.read = { request, _, size, offset, information in
            let session = unsafe FuseSession.of(request)
            let reply = unsafe session.reply(request)
            do throws(Errno) {
                let file = try session.tree.file(unsafe information?.pointee.fh ?? 0)
                session.dispatcher.read(
                    file.content, title: file.title, offset: offset, count: size, reply: reply
                ) { id in
                    // The number instead of an address: an interrupt may come after the answer.
                    unsafe fuse_req_interrupt_func(
                        request, interrupted, UnsafeMutableRawPointer(bitPattern: id))
                }
            } catch {
                reply.answer(error: error)
            }
        }
        unsafe operations.release = { request, _, information in
            let session = unsafe FuseSession.of(request)
            session.tree.release(unsafe information?.pointee.fh ?? 0)
            unsafe session.reply(request).answer(error: .none)
        }
    }

    private static func addAttributes(_ operations: inout fuse_lowlevel_ops) {
        // SAFETY: see the head of the file.
        unsafe operations.getxattr = { request, inode, name, capacity in
            let session = unsafe FuseSession.of(request)
            let reply = unsafe session.reply(request)
            let key = unsafe String(decoding: nameBytes(name), as: UTF8.self)
            do throws(Errno) {
                let value = try session.tree.extendedAttribute(inode, name: key)
                reply.answer(attribute: value, capacity: capacity)
            } catch {
                reply.answer(error: error)
            }
        }
        unsafe operations.listxattr = { request, inode, capacity in
            let session = unsafe FuseSession.of(request)
            let reply = unsafe session.reply(request)
            do throws(Errno) {
                let names = try session.tree.extendedAttributeNames(inode)
                let list = Array(names.map { $0 + "\0" }.joined().utf8)
                reply.answer(attribute: list, capacity: capacity)
            } catch {
                reply.answer(error: error)
            }
        }
    }

    /// The mount is read-only and the kernel refuses first; this says it once more.
    private static func addRefusals(_ operations: inout fuse_lowlevel_ops) {
        // SAFETY: see the head of the file.
        unsafe operations.setattr = { request, _, _, _, _ in unsafe refuse(request) }
        unsafe operations.mknod = { request, _, _, _, _ in unsafe refuse(request) }
        unsafe operations.mkdir = { request, _, _, _ in unsafe refuse(request) }
        unsafe operations.unlink = { request, _, _ in unsafe refuse(request) }
        unsafe operations.rmdir = { request, _, _ in unsafe refuse(request) }
        unsafe operations.symlink = { request, _, _, _ in unsafe refuse(request) }
        unsafe operations.rename = { request, _, _, _, _, _ in unsafe refuse(request) }
        unsafe operations.link = { request, _, _, _ in unsafe refuse(request) }
        unsafe operations.write = { request, _, _, _, _, _ in unsafe refuse(request) }
        unsafe operations.create = { request, _, _, _, _ in unsafe refuse(request) }
        unsafe operations.setxattr = { request, _, _, _, _, _ in unsafe refuse(request) }
        unsafe operations.removexattr = { request, _, _ in unsafe refuse(request) }
        unsafe operations.fallocate = { request, _, _, _, _, _ in unsafe refuse(request) }
    }
}

private func refuse(_ request: OpaquePointer?) {
    // SAFETY: see the head of the file.
    unsafe FuseSession.of(request).reply(request).answer(error: .readOnly)
}

/// libfuse calls it with the request locked, on any thread, and perhaps from inside `arm`.
private func interrupted(_ request: OpaquePointer?, _ data: UnsafeMutableRawPointer?) {
    // SAFETY: see the head of the file; `data` is a number and never followed.
    unsafe FuseSession.of(request).dispatcher.interrupt(UInt(bitPattern: data))
}

private func nameBytes(_ name: UnsafePointer<CChar>?) -> [UInt8] {
    guard let name = unsafe name else { return [] }
    // SAFETY: libfuse's names end with a zero.
    return unsafe Array(UnsafeRawBufferPointer(start: name, count: strlen(name)))
}

/// As many lines of a directory as fit, from the `offset`-th on, in the kernel's form.
private func packed(
    _ entries: [DirectoryEntry], from offset: Int, capacity: Int, owner: FileOwner
) -> [UInt8] {
    var lines: [UInt8] = []
    guard offset >= 0, offset < entries.count else { return lines }
    var line = [CChar](repeating: 0, count: 512)
    for (position, entry) in entries.enumerated().dropFirst(offset) {
        var status = stat()
        status.st_ino = UInt(entry.inode)
        status.st_mode = entry.isDirectory ? S_IFDIR : S_IFREG
        // SAFETY: the buffer has 512 bytes, which is given as its size; a line is 24 bytes and a
        // name of at most 255, rounded up. libfuse writes nothing where a line does not fit.
        let length = unsafe fuse_add_direntry(
            nil, &line, line.count, entry.name, &status, position + 1)
        guard length <= line.count else { continue }
        guard lines.count + length <= capacity else { break }
        lines.append(contentsOf: line.prefix(length).map { UInt8(bitPattern: $0) })
    }
    return lines
}
