internal import Dispatch
internal import Foundation
package import Logging
package import PetalsCore
internal import Synchronization

/// What `df` shows.
package struct MountStatistics: Hashable, Sendable {
    /// Bytes in the cache.
    package var usedBytes: Int
    /// Bytes that the cache may have.
    package var limitBytes: Int

    /// Says how full the cache is; nothing is rounded or checked.
    package init(usedBytes: Int, limitBytes: Int) {
        self.usedBytes = usedBytes
        self.limitBytes = limitBytes
    }
}

/// A mount: from `mount()` until it is unmounted, by us or by anybody else.
///
/// The process that mounts must not read its own mount.
package final class PetalsMount: Sendable {
    private struct State {
        var device: String?
        var mounted = false
        var ended = false
        var waiters: [CheckedContinuation<Void, Never>] = []
    }

    /// Where it is mounted.
    package let mountPoint: MountPoint
    private let options: MountOptions
    private let tree: TreeStore
    private let dispatcher: ReadDispatcher
    private let session: FuseSession
    private let logger: Logger
    private let state = Mutex(State())
    /// Signalled when the session has ended.
    private let finished = DispatchSemaphore(value: 0)

    /// How long the kernel may take to say hello.
    private static let greetingSeconds = 10.0
    /// How long open files may keep a detached mount alive before it is severed.
    private static let graceSeconds = 1.0

    /// Prepares a mount; nothing happens before `mount()`.
    ///
    /// - Parameters:
    ///   - readTimeout: how long a read may wait for its bytes before it fails with EIO.
    ///   - statistics: what `df` shows; called on a FUSE thread, so it answers from memory.
    package init(
        mountPoint: MountPoint, options: MountOptions, tree: TreeStore,
        readTimeout: Duration = .seconds(600), logger: Logger,
        statistics: @escaping @Sendable () -> MountStatistics
    ) {
        self.mountPoint = mountPoint
        self.options = options
        self.tree = tree
        self.logger = logger
        dispatcher = ReadDispatcher(readTimeout: readTimeout, logger: logger)
        session = FuseSession(
            tree: tree, dispatcher: dispatcher, logger: logger, statistics: statistics)
    }

    /// Reads that wait for bytes at the moment.
    package var waitingReads: Int { dispatcher.pendingCount }

    /// Mounts and answers; returns when the mount answers.
    ///
    /// Called once.
    ///
    /// - Throws: `PetalsError.badInput` for options, `.system` where the kernel refuses.
    package func mount() throws(PetalsError) {
        try session.mount(at: mountPoint.path, options: options)
        let device = MountTable.read().mount(at: mountPoint.path)?.device
        state.withLock { state in
            state.device = device
            state.mounted = true
        }
        let thread = Thread { self.serve() }
        thread.name = "petalsfs-fuse"
        thread.start()
        guard session.greeted.wait(timeout: .now() + Self.greetingSeconds) == .success else {
            _ = MountControl.detach(mountPoint.path)
            throw PetalsError(
                .system, "the kernel does not speak to the mount on \(mountPoint.path); try again")
        }
        tree.observeNames { [weak session] in session?.forgetNames($0) }
        let raised = device.map(MountControl.raiseReadAhead) ?? false
        if !raised {
            logger.debug("the kernel's read-ahead stays at 128 KiB; petalsfs doctor says how")
        }
        logger.info("\(mountPoint.path) is mounted")
    }

    /// Returns when the mount is gone, whoever unmounted it; at once where there is none.
    package func waitUntilUnmounted() async {
        await withCheckedContinuation { continuation in
            let gone = state.withLock { state in
                guard state.mounted, !state.ended else { return true }
                state.waiters.append(continuation)
                return false
            }
            if gone { continuation.resume() }
        }
    }

    /// Unmounts, whoever has files open, and returns when that is done: within a few seconds.
    ///
    /// Files that are open when it is called fail from then on.
    package func unmount() async {
        let thread = Thread { self.unmountNow() }
        thread.start()
        await waitUntilUnmounted()
    }

    // MARK: Threads

    private func serve() {
        let timer = DispatchSource.makeTimerSource(queue: .global(qos: .utility))
        timer.schedule(deadline: .now() + 1, repeating: 1, leeway: .milliseconds(500))
        timer.setEventHandler { [self] in
            dispatcher.expire(now: .now)
            severIfDetached()
        }
        timer.resume()
        session.run()
        timer.cancel()
        tree.observeNames(nil)
        end()
        finished.signal()
    }

    /// Severs a mount that was taken off its directory when the last of its files is closed.
    ///
    /// The kernel does that, unless a process with mounts of its own (a container, a sandbox) was
    /// started meanwhile and has a copy: the mount then lives where nobody means to use it.
    private func severIfDetached() {
        let device = state.withLock { $0.ended ? nil : $0.device }
        guard let device, tree.openCount == 0,
            !MountTable.read().mounts.contains(where: { $0.device == device })
        else { return }
        logger.info("\(mountPoint.path) was unmounted; copies of it end with it")
        // Where the kernel's control files are not mounted, it severs it when this process ends.
        if !MountControl.abort(device: device) { end() }
    }

    /// Detaches the mount, and severs it where open files keep it alive.
    private func unmountNow() {
        let (device, running) = state.withLock { ($0.device, $0.mounted && !$0.ended) }
        guard running else { return }
        // What is mounted there may be somebody else's by now: only our own device is detached.
        if MountTable.read().mount(at: mountPoint.path)?.device == device {
            _ = MountControl.detach(mountPoint.path)
        }
        if finished.wait(timeout: .now() + Self.graceSeconds) == .success { return }
        let severed = device.map(MountControl.abort) ?? false
        logger.notice("files were open in \(mountPoint.path); they fail now")
        dispatcher.close()
        if severed, finished.wait(timeout: .now() + Self.graceSeconds) == .success { return }
        // The kernel severs the connection itself when this process ends.
        logger.warning("\(mountPoint.path) is detached; its last files close with this process")
        end()
    }

    private func end() {
        let waiters = state.withLock { state in
            state.ended = true
            defer { state.waiters = [] }
            return state.waiters
        }
        for waiter in waiters { waiter.resume() }
    }
}
