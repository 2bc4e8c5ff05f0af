internal import Logging
internal import PetalsCore
internal import Synchronization
internal import Testing

@testable internal import PetalsFS

/// A digest of one repeated byte.
func digest(_ byte: UInt8) -> Digest {
    Digest(words: (UInt64(byte) &* 0x0101_0101_0101_0101, 1, 2, 3))
}

func record(size: Int, tag: UInt8 = 1) throws -> FileRecord {
    FileRecord(
        size: size, sha256: digest(tag),
        frames: try FrameTable(size: size, codec: .raw, lengths: []), blobID: digest(tag),
        blobKey: try #require(SecretKey(Array(repeating: tag, count: 32))))
}

func file(_ path: String, size: Int, executable: Bool = false) throws -> ManifestEntry {
    ManifestEntry(
        path: try ModelPath(path), executable: executable,
        content: .record(try record(size: size)))
}

func inlined(_ path: String, _ text: String) throws -> ManifestEntry {
    ManifestEntry(
        path: try ModelPath(path), executable: false, content: .inlined(Array(text.utf8)))
}

/// A model as the mount is told of it; `entries` nil makes it pending.
func model(
    _ name: String, id: UInt8 = 1, singleFile: Bool = false, _ entries: [ManifestEntry]?,
    facts: [String: String] = [:]
) -> MountedModel {
    var metadata = ModelMetadata()
    metadata.license = "mit"
    metadata.format = "gguf"
    return MountedModel(
        name: name, manifestID: digest(id),
        manifest: entries.map {
            ModelManifest(name: name, singleFile: singleFile, entries: $0, metadata: metadata)
        },
        addedAt: 1000 + Int64(id), facts: facts, peersAsked: { 4 },
        status: { Array("{\"id\":\(id)}".utf8) },
        open: { FakeContent(size: $0.size) })
}

func store(_ models: [MountedModel] = [], logger: Logger = quiet) -> TreeStore {
    let store = TreeStore(startedAt: 77, logger: logger) { Array("{}".utf8) }
    store.update(models: models)
    return store
}

/// A logger that says nothing.
let quiet = Logger(label: "quiet") { _ in SwiftLogNoOpLogHandler() }

/// Keeps log lines, to count them.
final class LogRecorder: Sendable {
    let lines = Mutex<[String]>([])

    var logger: Logger {
        var logger = Logger(label: "recorder") { _ in Handler(recorder: self) }
        logger.logLevel = .debug
        return logger
    }

    private struct Handler: LogHandler {
        let recorder: LogRecorder
        var metadata: Logger.Metadata = [:]
        var logLevel: Logger.Level = .trace

        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }

        func log(event: LogEvent) {
            recorder.lines.withLock { $0.append("\(event.level): \(event.message)") }
        }
    }
}

/// The byte at a position of every fake file: the obvious model that reads are compared with.
func patternByte(_ position: Int) -> UInt8 {
    UInt8(truncatingIfNeeded: position &* 31 &+ position >> 8)
}

/// A file whose bytes are here, or come when the test says so.
final class FakeContent: FileContent {
    enum Mode {
        case present, waiting
        case failing(PetalsError)
        case short
    }

    let size: Int
    let mode: Mode
    private let gate = Gate()
    let started = Gate()

    init(size: Int, mode: Mode = .present) {
        self.size = size
        self.mode = mode
    }

    var cachedBytes: Int { size / 2 }

    /// Lets waiting reads have their bytes.
    func arrive() { gate.open() }

    func readIfPresent(
        _ range: Range<Int>, into buffer: UnsafeMutableRawBufferPointer
    ) throws(PetalsError) -> Bool {
        switch mode {
        case .present:
            // SAFETY: the buffer has exactly as many bytes as the range; the copy ends with it.
            unsafe buffer.copyBytes(from: range.map(patternByte))
            return true
        case .failing(let error): throw error
        case .waiting, .short: return false
        }
    }

    func read(
        _ range: Range<Int>, deadline: ContinuousClock.Instant?
    ) async throws(PetalsError) -> [UInt8] {
        started.open()
        guard await gate.pass() else { throw PetalsError(.cancelled, "cancelled") }
        let bytes = range.map(patternByte)
        if case .short = mode { return Array(bytes.dropLast()) }
        return bytes
    }
}

/// Something that opens once, and for those who wait until then.
final class Gate: Sendable {
    private struct State {
        var isOpen = false
        var lastWaiter = 0
        var waiters: [Int: CheckedContinuation<Bool, Never>] = [:]
        var gone: Set<Int> = []
    }

    private let state = Mutex(State())

    func open() {
        let waiters = state.withLock { state in
            state.isOpen = true
            defer { state.waiters = [:] }
            return state.waiters.values
        }
        for waiter in waiters { waiter.resume(returning: true) }
    }

    /// True when the gate is open; false at once where the task is cancelled.
    func pass() async -> Bool {
        let number = state.withLock { state in
            state.lastWaiter += 1
            return state.lastWaiter
        }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let answer: Bool? = state.withLock { state in
                    if state.isOpen { return true }
                    if state.gone.contains(number) { return false }
                    state.waiters[number] = continuation
                    return nil
                }
                if let answer { continuation.resume(returning: answer) }
            }
        } onCancel: {
            let waiter = state.withLock { state in
                state.gone.insert(number)
                return state.waiters.removeValue(forKey: number)
            }
            waiter?.resume(returning: false)
        }
    }
}

/// Stands in for libfuse: notes every answer.
final class ReplyRecorder: Sendable {
    enum Answer: Hashable, Sendable {
        case bytes([UInt8])
        case error(Errno)
    }

    struct State {
        var answers: [UInt: [Answer]] = [:]
        var owed = 0
        var last: UInt = 0
    }

    let state = Mutex(State())
    private let changed = Mutex<Gate>(Gate())

    func reply() -> FuseReply {
        let request = state.withLock { state in
            state.last += 1
            return state.last
        }
        return FuseReply(request: request, port: port)
    }

    var port: ReplyPort {
        // SAFETY: the bytes are copied into an array before the closure returns.
        unsafe ReplyPort(
            sendBytes: { request, bytes in self.note(request, .bytes(unsafe Array(bytes))) },
            sendError: { request, error in self.note(request, .error(error)) },
            opened: { self.state.withLock { $0.owed += 1 } },
            settled: { self.state.withLock { $0.owed -= 1 } })
    }

    private func note(_ request: UInt, _ answer: Answer) {
        state.withLock { $0.answers[request, default: []].append(answer) }
        let gate = changed.withLock { gate in
            defer { gate = Gate() }
            return gate
        }
        gate.open()
    }

    func answers(_ request: UInt) -> [Answer] { state.withLock { $0.answers[request] ?? [] } }

    /// Waits until a request was answered.
    func answer(_ request: UInt) async -> Answer? {
        while true {
            let gate = changed.withLock { $0 }
            if let answer = answers(request).first { return answer }
            guard await gate.pass() else { return nil }
        }
    }

    var owed: Int { state.withLock { $0.owed } }
}
