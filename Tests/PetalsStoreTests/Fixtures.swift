import Foundation
import Glibc
import Logging
import PetalsCodec
import PetalsCore
import PetalsTesting
import Synchronization
import Testing

@testable import PetalsStore

extension StoredBlob {
    /// What a peer that asks for leaves gets; nil where it is refused.
    func served(
        _ address: CellAddress, leaves: Range<Int>
    ) throws -> (bytes: [UInt8], proof: [Digest])? {
        // A nonsensical range has no leaves to make room for.
        let room = leaves.count > 1 << 16 ? 0 : leaves.count * Limits.leafBytes
        var bytes = [UInt8](repeating: 0, count: room)
        // SAFETY: the array owns the memory during the call.
        let proof = try unsafe bytes.withUnsafeMutableBytes {
            try unsafe serve(address, leaves: leaves, into: $0)
        }
        return proof.map { (bytes, $0) }
    }
}

/// A blob as publishing makes it, in memory.
struct TestBlob: Sendable {
    let geometry: BlobGeometry
    let plain: [UInt8]
    let record: FileRecord
    let relayKey: SecretKey
    let layers: [CellLayer]
    let cells: [CellAddress: VerifiedLeaves]
    let sealedDescriptor: [UInt8]
    let id: BlobID

    /// Seals `size` bytes, random for the raw codec and compressible for the others.
    init(
        seed: UInt64 = 1, size: Int = 600_000, k: Int = 2, n: Int = 4, rowsPerGroup: Int = 700,
        codec: FrameCodec = .raw
    ) throws {
        var generator = SeededGenerator(seed: seed)
        var plain: [UInt8] = []
        plain.reserveCapacity(size + 8)
        while plain.count < size {
            var word = generator.next()
            if codec != .raw { word &= 0x01ff }
            for shift in stride(from: UInt64(0), to: 64, by: 8) {
                plain.append(UInt8(truncatingIfNeeded: word >> shift))
            }
        }
        plain.removeLast(plain.count - size)
        var stream = plain
        var lengths: [UInt32] = []
        if codec != .raw {
            stream = []
            for start in stride(from: 0, to: size, by: Limits.frameBytes) {
                let frame = Array(plain[start..<min(start + Limits.frameBytes, size)])
                let coded = FrameCoder.encode(frame, codec: codec)
                lengths.append(UInt32(coded.count))
                stream += coded
            }
        }
        let geometry = try BlobGeometry(
            storedLength: stream.count, dataShards: k, groupShards: n, rowsPerGroup: rowsPerGroup)
        let key = KeyDerivation.blobKey(storedSHA256: sha256(stream), geometry: geometry)
        let pipeline = BlockPipeline(geometry: geometry, blobKey: key)
        var tree = TreeBuilder(geometry: geometry)
        var cells: [CellAddress: VerifiedLeaves] = [:]
        for index in 0..<geometry.rowCount {
            let row = pipeline.sealRow(
                RowIndex(index), stream: Array(stream[pipeline.streamRange(of: RowIndex(index))]))
            tree.add(row)
            for cell in row.cells { cells[cell.address] = cell }
        }
        relayKey = KeyDerivation.relayKey(of: key)
        (sealedDescriptor, id) = SealedDescriptor.seal(tree.descriptor(), relayKey: relayKey)
        record = FileRecord(
            size: size, sha256: sha256(plain),
            frames: try FrameTable(size: size, codec: codec, lengths: lengths), blobID: id,
            blobKey: key)
        self.geometry = geometry
        self.plain = plain
        layers = tree.layers()
        self.cells = cells
    }

    var addresses: [CellAddress] { cells.keys.sorted() }

    func cell(_ address: CellAddress) throws -> VerifiedLeaves { try #require(cells[address]) }

    var row: BlobRow {
        BlobRow(blobID: id, relayKey: relayKey, descriptor: sealedDescriptor)
    }

    /// The blob in a store, with all layers kept.
    func open(in store: Store) throws -> StoredBlob {
        let blob = try store.blob(id: id, relayKey: relayKey, descriptor: sealedDescriptor)
        for layer in layers { try blob.keep(layer) }
        return blob
    }

    /// A model of this blob alone.
    func model(_ name: String, origin: ModelRow.Origin = .added) -> ModelRow {
        ModelRow(
            name: name, manifestID: sha256(Array(name.utf8)), capability: .read(record.blobKey),
            origin: origin, addedAt: 1_700_000_000)
    }
}

/// A store in a folder of its own, which can be closed and opened again.
final class StoreBox {
    let folder: TemporaryFolder
    let book: LogBook
    let limit: Int?
    let faults: DiskFaults?
    let filesMax: Int
    let floor: Int?
    let probe: DiskProbe
    private var current: Store?

    init(
        limit: Int? = nil, floor: Int? = 0, faults: DiskFaults? = nil, filesMax: Int = 256,
        probe: DiskProbe = .system
    ) throws {
        folder = try TemporaryFolder()
        self.floor = floor
        self.probe = probe
        book = LogBook(keeping: folder)
        self.limit = limit
        self.faults = faults
        self.filesMax = filesMax
    }

    var path: String { folder.path + "/state" }

    func store() throws -> Store {
        try store(limit: limit)
    }

    /// The store, which had another limit before it was closed.
    func store(limit: Int?) throws -> Store {
        if let current { return current }
        let store = try Store(
            folder: StateFolder(opening: path, faults: faults), logger: book.logger, limit: limit,
            floor: floor, filesMax: filesMax, probe: probe)
        current = store
        return store
    }

    /// Lets go of the store; whoever asks next reads it from the disk.
    func close() {
        current?.context.folder.release()
        current = nil
    }

    func file(_ blob: TestBlob, _ shard: ShardIndex, _ kind: String) -> String {
        "\(path)/blobs/\(blob.id.hex)/\(shard).\(kind)"
    }

    /// Bytes that the disk has set aside for the cells of a blob.
    func allocated(_ blob: TestBlob) throws -> Int {
        let folder = path + "/blobs/" + blob.id.hex
        return try Disk.names(in: folder).filter { $0.hasSuffix(".data") }.reduce(0) {
            try $0 + (DiskFile.open(folder + "/" + $1, .reading)?.readAllocated() ?? 0)
        }
    }
}

/// A switch and a counter for faults.
final class FaultPlan: Sendable {
    struct State: Sendable {
        var rule: (@Sendable (DiskFaults.Operation, String, Int) -> DiskFaults.Fault?)?
        var operations = 0
    }

    let state = Mutex(State())

    var faults: DiskFaults {
        DiskFaults { operation, path, count in
            let rule = self.state.withLock { state in
                state.operations += 1
                return state.rule
            }
            return rule?(operation, path, count)
        }
    }

    func set(_ rule: (@Sendable (DiskFaults.Operation, String, Int) -> DiskFaults.Fault?)?) {
        state.withLock { $0.rule = rule }
    }
}

/// The code of the error that `body` throws; nil where it throws none.
func code(_ body: () throws -> Void) -> PetalsError.Code? {
    do {
        try body()
        return nil
    } catch let error as PetalsError {
        return error.code
    } catch {
        return nil
    }
}

/// The sentence of the error that `body` throws.
func message(_ body: () throws -> Void) -> String {
    do {
        try body()
        return ""
    } catch {
        return "\(error)"
    }
}

/// The permission bits of a file.
func mode(_ path: String) throws -> Int {
    let attributes = try FileManager.default.attributesOfItem(atPath: path)
    return try #require(attributes[.posixPermissions] as? Int)
}

extension Array where Element == UInt8 {
    /// Writes the bytes to a file.
    func write(to path: String) throws {
        try Data(self).write(to: URL(fileURLWithPath: path))
    }
}

/// Changes a file's bytes in place.
func patch(_ path: String, _ change: (inout [UInt8]) -> Void) throws {
    var bytes = Array(try Data(contentsOf: URL(fileURLWithPath: path)))
    change(&bytes)
    let handle = try FileHandle(forWritingTo: URL(fileURLWithPath: path))
    try handle.truncate(atOffset: UInt64(bytes.count))
    try handle.seek(toOffset: 0)
    try handle.write(contentsOf: Data(bytes))
    try handle.close()
}

/// Runs `work` on as many threads of their own, and returns when all are done.
///
/// The pool of Swift's tasks has as many threads as the machine has cores, which may be one.
func onThreads(_ count: Int, _ work: @escaping @Sendable (Int) -> Void) {
    let group = DispatchGroup()
    for index in 0..<count {
        group.enter()
        Thread {
            work(index)
            group.leave()
        }.start()
    }
    group.wait()
}
