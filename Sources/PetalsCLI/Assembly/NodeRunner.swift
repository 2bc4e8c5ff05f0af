internal import Foundation
internal import Glibc
internal import Logging
internal import PetalsCore
internal import PetalsFS
internal import PetalsStore
internal import ShardFetch
internal import UnixSignals

/// Runs a node from its start to its end, with the control socket beside it.
struct NodeRunner {
    let statePath: String
    let logger: Logger
    let bounds: CacheBounds
    let network: NodeConfiguration

    /// Runs `body` while the node is up; then stops it in order.
    func run(
        clearCache: Bool, body: (NodeService) async throws -> Void
    ) async throws {
        let service = try NodeService(statePath: statePath, logger: logger, bounds: bounds)
        try await service.startNode(network)
        let control = ControlServer(
            service: service, path: service.folder.controlSocket, logger: logger)
        let serving = Task {
            do {
                try await control.run()
            } catch {
                logger.error("commands cannot reach this node: \(error)")
            }
        }
        defer { serving.cancel() }
        let result: Result<Void, any Error>
        do {
            result = .success(try await body(service))
        } catch {
            result = .failure(error)
        }
        // First of all: NIO does not survive a connection that arrives while its server ends. The
        // socket may be gone, with the folder; then nobody comes either.
        try? FileManager.default.removeItem(atPath: service.folder.controlSocket)
        await service.stop(clearCache: clearCache)
        try result.get()
    }
}

/// The mount of a running node, from its start to its end.
struct MountRun {
    let service: NodeService
    let point: MountPoint
    let options: MountOptions
    let readTimeout: Double
    let links: [String]

    /// Seconds to wait for the manifests of what was asked for before the mount says that it is
    /// ready; without the network it starts with what it has.
    static let manifestSeconds = 5.0

    func run() async throws {
        guard let node = service.node else { return }
        for link in links { _ = try service.add(link: link, name: nil) }
        if node.canFindPeers {
            await service.library.waitForManifests(seconds: Self.manifestSeconds)
        }
        let tree = TreeStore(
            startedAt: Int64(Date().timeIntervalSince1970), logger: service.logger,
            status: { [service] in NodeService.json(service.status()) })
        service.show(in: tree, with: node)
        let mount = PetalsMount(
            mountPoint: point, options: options, tree: tree,
            readTimeout: .milliseconds(Int(readTimeout * 1000)), logger: service.logger,
            statistics: { [service] in
                let usage = service.store.usage()
                return MountStatistics(
                    usedBytes: usage.cached, limitBytes: usage.limit ?? Self.roomBytes(service))
            })
        try mount.mount()
        service.mounted(at: point.path) { Task { await mount.unmount() } }
        Terminal.print("ready")
        ServiceManager.notifyReady()
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await mount.waitUntilUnmounted() }
            group.addTask {
                await Signals.waitForEnd()
                // Inside the group: it ends only when the other task has seen the unmount.
                await mount.unmount()
            }
            await group.next()
            group.cancelAll()
        }
    }

    /// What the cache may grow to where only the disk is its limit.
    private static func roomBytes(_ service: NodeService) -> Int {
        let usage = service.store.usage()
        // A disk that does not say is shown as a terabyte: `df` hides what has no size.
        let free = (try? service.store.readDiskSpace())?.free ?? 1 << 40
        return max(0, free - usage.floor) + usage.cached
    }
}

/// The signals that end a node.
enum Signals {
    /// Returns at the first SIGINT or SIGTERM, or when the task is cancelled.
    static func waitForEnd() async {
        for await _ in await UnixSignalsSequence(trapping: .sigint, .sigterm) { return }
    }
}

/// Tells systemd that a service is ready (sd_notify(3)): one datagram to `NOTIFY_SOCKET`.
enum ServiceManager {
    static func notifyReady() {
        guard let path = ProcessInfo.processInfo.environment["NOTIFY_SOCKET"] else { return }
        let helper = Process()
        helper.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        helper.arguments = ["systemd-notify", "--ready", "--pid=\(getpid())"]
        helper.environment = ["NOTIFY_SOCKET": path, "PATH": "/usr/bin:/bin"]
        // Without systemd's helper there is no systemd to tell.
        try? helper.run()
    }
}

/// `--background`: starts this program again without the flag and waits for its “ready”.
enum Background {
    static func relaunch() throws {
        let child = Process()
        child.executableURL = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
        child.arguments = CommandLine.arguments.dropFirst().filter { $0 != "--background" }
        let output = Pipe()
        child.standardOutput = output
        child.standardInput = FileHandle.nullDevice
        do {
            try child.run()
        } catch {
            throw PetalsError(.system, "the background process did not start: \(error)")
        }
        let said = output.fileHandleForReading.availableData
        guard String(decoding: said, as: UTF8.self).contains("ready") else {
            child.waitUntilExit()
            exit(child.terminationStatus == 0 ? 1 : child.terminationStatus)
        }
        Terminal.print("ready")
    }
}
