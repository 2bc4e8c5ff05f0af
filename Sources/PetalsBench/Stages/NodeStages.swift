internal import Dispatch
internal import PetalsCore
internal import PetalsStore
internal import PetalsTesting
internal import ShardFetch
internal import Synchronization

extension Stage {
    private static let readBytes = Limits.kernelReadBytesMax
    private static let fetchBytes = 64 << 20

    /// Whole reads.
    static let node = [
        Stage(
            "cached-read", "a read of 1 MiB from the store", .bytes(readBytes), counted: 20,
            run: cachedRead),
        Stage(
            "fetch", "64 MiB of another node over TLS, read in order", .bytes(fetchBytes),
            counted: nil, run: fetch),
    ]

    /// What a FUSE thread does between the kernel's request and its answer.
    private static func cachedRead(_ meter: Meter) throws {
        let sample = try Samples.blob(rows: 8)
        let node = try LoopbackNode(.init())
        let blob = try sample.install(in: node.store, shards: sample.shards)
        try node.store.setClass(.cached, of: sample.shards, blob: blob.id)
        let reader = node.node.reader(for: sample.record)
        // Opens the blob, which a first read does.
        _ = try waiting { try await reader.read(0..<1) }
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: readBytes, alignment: 4096)
        // SAFETY: allocated above, and used by nobody after this function.
        defer { unsafe buffer.deallocate() }
        var range = sample.record.size - readBytes..<sample.record.size
        try meter.measure {
            let start = range.upperBound % sample.record.size
            range = start..<start + readBytes
            // SAFETY: the buffer has as many bytes as the range.
            let isRead = try unsafe reader.readIfPresent(range, into: buffer)
            try require(isRead, "a cell is not there any more")
        }
        // SAFETY: the last read wrote all of the buffer.
        let isSame = unsafe buffer.elementsEqual(sample.plain[range])
        try require(isSame, "other bytes were read")
        // The task lets go of what it captures after it was waited for, and the process ends then:
        // were it the last to have the node, its end would be counted sometimes.
        try withExtendedLifetime(node) {
            try waiting { [unowned node] in await node.stop() }
        }
    }

    /// What a mount does with a file that is read from its start to its end, both ends on this
    /// machine; each node has one thread for sockets and one for everything else.
    private static func fetch(_ meter: Meter) throws {
        let pair = try waiting { try await NodePair(bytes: fetchBytes) }
        func forget() throws { try waiting { try await pair.forget() } }
        try meter.measure(atMost: 1, before: forget) {
            try waiting { try await pair.readAll() }
        }
        try waiting { await pair.stop() }
    }
}

/// A node that has a file, and one that is connected with it.
private final class NodePair: Sendable {
    private let holder: LoopbackNode
    private let reader: LoopbackNode
    private let record: FileRecord

    init(bytes: Int) async throws {
        let sample = try Samples.blob(rows: bytes / (8 * Limits.cellBytes))
        record = sample.record
        holder = try LoopbackNode(.init())
        try sample.install(in: holder.store, shards: sample.geometry.streamShards)
        try await holder.node.start()
        var options = LoopbackNode.Options()
        options.peers = [holder.endpoint]
        reader = try LoopbackNode(options)
        try await reader.node.start()
        let isConnected = await eventually { [reader] in reader.node.peerCount == 1 }
        try require(isConnected, "the nodes did not meet")
        try await readAll()
    }

    /// Reads the file once, a mebibyte at a time.
    func readAll() async throws {
        let file = reader.node.reader(for: record)
        for start in stride(from: 0, to: record.size, by: Limits.kernelReadBytesMax) {
            let range = start..<min(start + Limits.kernelReadBytesMax, record.size)
            let bytes = try await file.read(range)
            try require(bytes.count == range.count, "a read was short")
        }
    }

    /// Makes the reader forget the file, once all of it is on its disk.
    func forget() async throws {
        let file = reader.node.reader(for: record)
        let isWhole = await eventually { [record] in file.cachedBytes == record.size }
        try require(isWhole, "the file is not whole")
        _ = reader.store.evictCached(of: [record.blobID])
        reader.node.releaseMemory(of: [record.blobID])
    }

    func stop() async {
        await reader.stop()
        await holder.stop()
    }
}

/// Runs something asynchronous to its end, from the main thread, which runs no task.
private func waiting<Value: Sendable>(
    _ body: @escaping @Sendable () async throws -> Value
) throws -> Value {
    let outcome = Mutex<Result<Value, any Error>?>(nil)
    let done = DispatchSemaphore(value: 0)
    Task.detached {
        do {
            let value = try await body()
            outcome.withLock { $0 = .success(value) }
        } catch {
            outcome.withLock { $0 = .failure(error) }
        }
        done.signal()
    }
    done.wait()
    return try require(outcome.withLock { $0 }, "a task ended without an outcome").get()
}
