internal import Foundation
internal import Glibc
internal import Testing

/// All that one test has: a folder, processes and mounts; gone when the test ends.
final class World {
    /// How long a condition may take before a test gives up on it; a hundred times what it takes.
    static let patience = 60.0

    let folder: String
    private var children: [Child] = []
    private var mounts: [String] = []
    private var count = 0

    private init() throws {
        let base = URL(fileURLWithPath: NSTemporaryDirectory()).path
        folder = base + "/petalsfs-mt-\(getpid())-\(UInt32.random(in: 0...UInt32.max))"
        try FileManager.default.createDirectory(
            atPath: folder + "/logs", withIntermediateDirectories: true)
    }

    /// Gives a test its world, and takes it away when the test is over.
    static func with(_ body: (World) async throws -> Void) async throws {
        let world = try World()
        do {
            try await body(world)
        } catch {
            await world.end()
            throw error
        }
        await world.end()
    }

    private func end() async {
        for child in children { child.destroy() }
        for mount in mounts {
            // A mount that is gone already is what most tests leave.
            _ = try? await run("umount", "-l", mount)
        }
        // What the kernel still holds is deleted with the machine's temporary files.
        _ = try? await run("rm", "-rf", "--one-file-system", folder)
    }

    // MARK: Paths

    func path(_ name: String) -> String { "\(folder)/\(name)" }

    /// An empty folder.
    func makeFolder(_ name: String) throws -> String {
        try FileManager.default.createDirectory(
            atPath: path(name), withIntermediateDirectories: true)
        return path(name)
    }

    // MARK: Processes

    /// Starts a tool of the PATH, or the program under test where it is named `petalsfs`.
    func start(
        _ command: [String], name: String? = nil, input: String? = nil,
        environment: [String: String] = [:]
    ) throws -> Child {
        count += 1
        let program = Self.isolated(command).map { $0 == "petalsfs" ? Machine.program : $0 }
        let child = try Child(
            name ?? "\(count)-\((command.first ?? "") as NSString)".replacing("/", with: "_"),
            program, input: input, environment: environment, logs: folder + "/logs")
        children.append(child)
        return child
    }

    /// A command of the program that meets no node but those that the test names.
    ///
    /// Others of this machine and its network are no part of a test. A command with an option of
    /// its own about that is left as it is.
    private static func isolated(_ command: [String]) -> [String] {
        guard command.first == "petalsfs", command.count > 1,
            ["serve", "mount", "add", "hold", "pin", "prefetch"].contains(command[1])
                || command[1...].starts(with: ["catalog", "follow"]),
            !command.contains(where: { $0.hasPrefix("--lan") || $0.hasPrefix("--dht") })
        else { return command }
        return command + ["--no-lan", "--no-dht"]
    }

    /// Runs a command to its end.
    @discardableResult
    func run(_ command: String...) async throws -> Finished {
        try await start(command).finish()
    }

    /// Runs the program to its end on a state folder.
    func petals(_ state: String, _ arguments: String..., input: String? = nil) async throws
        -> Finished
    {
        let command = ["petalsfs"] + arguments + ["--state", path(state)]
        return try await start(command, input: input).finish()
    }

    /// Runs a Python program to its end.
    func python(_ program: String, _ arguments: String...) async throws -> Finished {
        try await start(["python3", "-c", program] + arguments).finish()
    }

    /// The kernel's SHA-256 of a file, by a child.
    func sha256(_ path: String) async throws -> String {
        String(try await run("sha256sum", path).succeeded().prefix { $0 != " " })
    }

    // MARK: Nodes

    /// Starts `petalsfs serve` and returns when it listens.
    func serve(
        _ state: String, at address: String = "127.0.0.1:0", _ more: String...
    ) async throws -> Relay {
        try await serve(state, at: address, with: more)
    }

    /// The same with a list of arguments.
    func serve(
        _ state: String, at address: String = "127.0.0.1:0", with more: [String]
    ) async throws -> Relay {
        count += 1
        let child = try start(
            ["petalsfs", "serve", "--state", path(state), "--listen", address, "-vv"] + more,
            name: "serve-\(state)-\(count)")
        return try await Relay(child: child, address: listening(state, child))
    }

    /// The address that a node listens on, once it does.
    private func listening(_ state: String, _ child: Child) async throws -> String {
        let file = path(state) + "/listen"
        try await Self.wait("\(child.name) to listen") {
            guard child.isRunning else { throw Failure(description: child.errors) }
            // The file of a node that was killed says where that one listened.
            return child.output.contains("listening on") || child.output.contains("ready")
        }
        return try String(contentsOfFile: file, encoding: .utf8)
            .trimmingCharacters(in: .whitespacesAndNewlines)
    }

    /// Starts `petalsfs mount` and returns when it is ready.
    func mount(
        _ state: String, _ links: [String], peers: [String], _ more: [String] = []
    ) async throws -> Mounted {
        let directory = path("mnt-\(state)")
        // A directory that was mounted on is not even looked at.
        if !mounts.contains(directory) {
            mounts.append(try makeFolder("mnt-\(state)"))
        }
        count += 1
        let child = try start(
            ["petalsfs", "mount", directory] + links + [
                "--state", path(state), "--listen", "127.0.0.1:0", "-vv",
            ] + peers.flatMap { ["--peer", $0] } + more, name: "mount-\(state)-\(count)")
        _ = try await listening(state, child)
        return Mounted(child: child, directory: directory, state: state)
    }

    /// What the running node of a state folder says of itself.
    func status(_ state: String) async throws -> StatusReport {
        try await petals(state, "status", "--json").decode(StatusReport.self)
    }

    /// Waits until a node has something that it wants and does not get.
    func waitForWant(_ state: String) async throws {
        try await Self.wait("\(state) to want a cell") {
            try await (self.status(state).node?.wantedCells ?? 0) > 0
        }
    }

    // MARK: Waiting

    /// Waits until a condition holds.
    static func wait(_ what: String, until holds: () async throws -> Bool) async throws {
        let end = Date().addingTimeInterval(patience)
        while try await !holds() {
            guard Date() < end else {
                throw Failure(description: "waited \(patience) s for \(what), in vain")
            }
            try await Task.sleep(for: .milliseconds(10))
        }
    }
}

/// A node that serves.
struct Relay {
    let child: Child
    let address: String
}

/// A node with a mount.
struct Mounted {
    let child: Child
    let directory: String
    let state: String

    func path(_ name: String) -> String { "\(directory)/\(name)" }
}
