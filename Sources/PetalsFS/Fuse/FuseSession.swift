internal import CFuse3
internal import Dispatch
internal import Foundation
internal import Glibc
internal import Logging
internal import PetalsCore
internal import Synchronization

/// One connection to the kernel: libfuse's session and the threads that answer it.
///
/// The session is made by `mount`, and destroyed by the thread that `run` is called on, when the
/// mount is gone. In between, `useSession` keeps it alive for others: replies and notices may come
/// from any thread, and libfuse would write to a descriptor that means something else by then.
final class FuseSession: Sendable {
    let tree: TreeStore
    let dispatcher: ReadDispatcher
    let statistics: @Sendable () -> MountStatistics
    let owner = FileOwner(user: geteuid(), group: getegid())
    let logger: Logger
    /// Entered for each reply that is owed and each use of the session.
    private let users: DispatchGroup
    private let port: ReplyPort
    /// Address of the `fuse_session`; 0 before `mount` and after the end.
    private let address = Atomic<UInt>(0)
    /// Signalled when the kernel has said hello.
    let greeted = DispatchSemaphore(value: 0)

    /// Threads that answer requests.
    ///
    /// They answer from memory and disk, so there is no use for many more than there are cores; the
    /// kernel's largest machines share ten without complaint.
    private static let threadsMax: UInt32 = 10
    /// How long the last replies may take before the session is left to the end of the process.
    private static let lastReplySeconds = 5.0

    init(
        tree: TreeStore, dispatcher: ReadDispatcher, logger: Logger,
        statistics: @escaping @Sendable () -> MountStatistics
    ) {
        self.tree = tree
        self.dispatcher = dispatcher
        self.logger = logger
        self.statistics = statistics
        let users = DispatchGroup()
        self.users = users
        port = Self.port(users: users)
    }

    /// Mounts; requests then wait until `run`.
    ///
    /// - Precondition: called once, and `run` is called after it.
    /// - Throws: `PetalsError.badInput` for options that libfuse does not know, `.system` where
    ///   mounting is refused.
    func mount(at path: String, options: MountOptions) throws(PetalsError) {
        // SAFETY: libfuse copies the arguments and its operations, and frees what it copied; the
        // session keeps an address of `self`, which whoever runs it retains until the session ends.
        var arguments = unsafe fuse_args()
        unsafe fuse_opt_add_arg(&arguments, "petalsfs")
        unsafe fuse_opt_add_arg(&arguments, "-o")
        unsafe fuse_opt_add_arg(&arguments, options.argument)
        defer { unsafe fuse_opt_free_args(&arguments) }
        var operations = FuseSession.operations()
        let context = unsafe Unmanaged.passUnretained(self).toOpaque()
        guard let session = unsafe petals_session_new(&arguments, &operations, context) else {
            throw PetalsError(
                .badInput,
                "the mount options “\(options.argument)” were refused; see mount.fuse(8)")
        }
        guard unsafe fuse_session_mount(session, path) == 0 else {
            unsafe fuse_session_destroy(session)
            throw PetalsError(
                .system,
                "\(path) could not be mounted; without root this needs fusermount3, and for "
                    + "allow_other also user_allow_other in /etc/fuse.conf")
        }
        address.store(UInt(bitPattern: session), ordering: .sequentiallyConsistent)
    }

    /// Answers requests until the mount is gone, then destroys the session.
    ///
    /// Blocks its thread.
    func run() {
        let value = address.load(ordering: .sequentiallyConsistent)
        // SAFETY: `mount` stored a live session, and only this function ends it.
        let session = unsafe OpaquePointer(bitPattern: value)
        let result = unsafe petals_session_loop(session, Self.threadsMax)
        if result != 0 {
            logger.error("the FUSE loop ended with error \(result); the mount is gone")
        }
        address.store(0, ordering: .sequentiallyConsistent)
        dispatcher.close()
        guard users.wait(timeout: .now() + Self.lastReplySeconds) == .success else {
            logger.error("a reply is still owed after the mount ended; its session is left alone")
            return
        }
        // SAFETY: the loop's threads are joined, the address is gone, and nobody is in between: the
        // group was empty after that.
        unsafe fuse_session_unmount(session)
        unsafe fuse_session_destroy(session)
    }

    /// Lets `body` use the session; not at all where it has ended.
    private func useSession(_ body: (OpaquePointer) -> Void) {
        users.enter()
        defer { users.leave() }
        let value = address.load(ordering: .sequentiallyConsistent)
        // SAFETY: entering the group before reading the address keeps the session alive: `run`
        // clears the address before it waits for the group.
        if let session = unsafe OpaquePointer(bitPattern: value) {
            unsafe body(session)
        }
    }

    /// Makes the kernel forget names in the root.
    ///
    /// Never called from a callback: the kernel may hold a lock there that it wants here.
    func forgetNames(_ names: [String]) {
        // SAFETY: a name's bytes live through the call, and the session through `useSession`. An
        // error says that the kernel did not know the name, which is as good.
        unsafe useSession { session in
            for name in names {
                _ = unsafe fuse_lowlevel_notify_inval_entry(
                    session, TreeStore.rootInode, name, name.utf8.count)
            }
        }
    }

    // MARK: Requests

    /// The session whose callback this is.
    static func of(_ request: OpaquePointer?) -> FuseSession {
        // SAFETY: `mount` gave libfuse this address, and the running thread retains the object.
        unsafe Unmanaged<FuseSession>.fromOpaque(fuse_req_userdata(request))
            .takeUnretainedValue()
    }

    /// The reply that a request is owed.
    func reply(_ request: OpaquePointer?) -> FuseReply {
        FuseReply(request: UInt(bitPattern: request), port: port)
    }

    private static func port(users: DispatchGroup) -> ReplyPort {
        // SAFETY: the request is live until it is answered, here; the bytes are copied to the
        // kernel before the call returns.
        unsafe ReplyPort(
            sendBytes: { request, bytes in
                _ = unsafe fuse_reply_buf(
                    OpaquePointer(bitPattern: request), bytes.baseAddress, bytes.count)
            },
            sendError: { request, error in
                _ = unsafe fuse_reply_err(OpaquePointer(bitPattern: request), error.rawValue)
            },
            opened: { users.enter() },
            settled: { users.leave() })
    }

    /// Agrees with the kernel on sizes and abilities.
    func greet(_ connection: inout fuse_conn_info) {
        connection.max_read = UInt32(Limits.kernelReadBytesMax)
        // The kernel derives the most pages of a request from it: 256, for reads too.
        connection.max_write = UInt32(Limits.kernelReadBytesMax)
        connection.max_background = 64
        connection.congestion_threshold = 48
        let wanted = UInt32(FUSE_CAP_ASYNC_READ) | UInt32(FUSE_CAP_PARALLEL_DIROPS)
        connection.want |= wanted & connection.capable
        // Our answers lie in memory: moving them through a pipe costs more than one copy.
        let spliced = UInt32(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE)
        // Content never changes, so the kernel need not look for changes before it uses a page.
        // With asynchronous direct reads, a plain O_DIRECT read waits in a way that not even
        // SIGKILL ends (fuse_direct_IO in fs/fuse/file.c); without, it is interrupted like any
        // other.
        let refused = UInt32(FUSE_CAP_AUTO_INVAL_DATA) | UInt32(FUSE_CAP_ASYNC_DIO)
        connection.want &= ~(spliced | refused)
        greeted.signal()
    }
}
