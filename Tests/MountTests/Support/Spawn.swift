internal import Foundation
internal import Glibc
internal import Synchronization

/// Starts processes with posix_spawn(3).
///
/// Foundation's `Process` hands down blocked and ignored signals, and was seen to crash in `run()`
/// (swift-corelibs-foundation 6.3.1) about once in two thousand processes.
enum Spawn {
    /// Starts a program of the PATH with its three streams in files and its signals at default.
    ///
    /// - Returns: the number of the process, for `waitpid`.
    static func start(
        _ command: [String], environment: [String: String], input: String, output: String,
        errors: String
    ) throws -> pid_t {
        // SAFETY: initialised below, before use.
        var actions = unsafe posix_spawn_file_actions_t()
        // SAFETY: initialised before use and destroyed once, at the end of this function.
        unsafe posix_spawn_file_actions_init(&actions)
        // SAFETY: as above.
        defer { unsafe posix_spawn_file_actions_destroy(&actions) }
        let write = O_WRONLY | O_CREAT | O_TRUNC
        // SAFETY: the strings live through the calls, which copy them.
        unsafe posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, input, O_RDONLY, 0)
        unsafe posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, output, write, 0o600)
        unsafe posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, errors, write, 0o600)

        var attributes = posix_spawnattr_t()
        // SAFETY: initialised before use and destroyed once, at the end of this function.
        unsafe posix_spawnattr_init(&attributes)
        // SAFETY: as above.
        defer { unsafe posix_spawnattr_destroy(&attributes) }
        var blocked = sigset_t()
        var ordinary = sigset_t()
        // SAFETY: the sets outlive the calls, which copy them.
        unsafe sigemptyset(&blocked)
        unsafe sigemptyset(&ordinary)
        for signal in [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGPIPE] {
            // SAFETY: as above.
            unsafe sigaddset(&ordinary, signal)
        }
        // SAFETY: as above.
        unsafe posix_spawnattr_setsigmask(&attributes, &blocked)
        unsafe posix_spawnattr_setsigdefault(&attributes, &ordinary)
        let flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF
        // SAFETY: as above.
        unsafe posix_spawnattr_setflags(&attributes, Int16(flags))

        let merged = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        // SAFETY: strdup's copies are freed below, after the call that reads them.
        let arguments = unsafe (["env"] + command).map { unsafe strdup($0) } + [nil]
        let variables = unsafe merged.map { unsafe strdup("\($0)=\($1)") } + [nil]
        defer {
            // SAFETY: nobody else has the copies; free accepts nil.
            for index in unsafe arguments.indices { unsafe free(arguments[index]) }
            // SAFETY: as above.
            for index in unsafe variables.indices { unsafe free(variables[index]) }
        }
        var id: pid_t = 0
        // SAFETY: both arrays end with nil and outlive the call, as does all that it points to.
        let code = unsafe posix_spawn(
            &id, "/usr/bin/env", &actions, &attributes, arguments, variables)
        guard code == 0 else {
            throw Failure(description: "\(command.first ?? "") does not start: error \(code)")
        }
        watch(id)
        return id
    }

    /// How a process ended, as a shell counts: its exit code, or 128 and its signal.
    ///
    /// nil while it runs. Answers once; then the process is forgotten.
    static func poll(_ id: pid_t) -> Int? { ended.withLock { $0.removeValue(forKey: id) } }

    /// Processes that have ended and whom nobody has asked about.
    private static let ended = Mutex<[pid_t: Int]>([:])

    /// Takes note of a process as soon as it ends.
    ///
    /// Not when the test asks: the runner's exit tests wait for any child of this process, look at
    /// the first that has ended, and see no other until somebody has taken note of that one. A node
    /// that a test had killed and did not ask about made them wait for ever.
    private static func watch(_ id: pid_t) {
        let thread = Thread {
            var status: Int32 = 0
            // SAFETY: the status outlives the call, which writes to it and keeps nothing.
            while unsafe waitpid(id, &status, 0) != id {
                guard errno == EINTR else { return }
            }
            let signal = Int(status & 0x7f)
            let code = signal == 0 ? Int(status >> 8 & 0xff) : 128 + signal
            ended.withLock { $0[id] = code }
        }
        thread.start()
    }
}
