import Foundation
import Glibc
import PetalsCodec
import PetalsCore
import PetalsStore
import PetalsTesting
import Synchronization
import Testing

@testable import ShardFetch

/// Publications that keep their parity and such that leave it to others: the same blob, with or
/// without those bytes, and from the one to the other and back.
@Suite(.serialized) struct ParityTests {
    /// A file and a state folder.
    private final class Desk {
        let folder: TemporaryFolder
        let path: String
        let book = LogBook()

        init(coded: Bool) throws {
            folder = try TemporaryFolder()
            var generator = SeededGenerator(seed: 71)
            let bytes = generator.bytes(1_300_000)
            path = try folder.write(coded ? bytes.map { $0 & 0x0F } : bytes, to: "model.bin")
        }

        func publish(
            _ parity: Publisher.Parity, path: String? = nil, faults: DiskFaults? = nil,
            then body: (Store, StoredBlob, Publisher.Publication) throws -> Void = { _, _, _ in }
        ) throws {
            let state = try StateFolder(opening: folder.path + "/state", faults: faults)
            defer { state.release() }
            let store = try Store(folder: state, logger: book.logger, limit: nil)
            try store.collectGarbage()
            var options = Publisher.Options()
            options.name = "m"
            options.shards = (data: 2, group: 4)
            options.parity = parity
            let identity = try NodeIdentity(seed: Array(repeating: 7, count: 32))
            let publication = try Publisher(store: store, signer: identity.signing)
                .publish(path: path ?? self.path, options: options) { _, _ in }
            let blob = try #require(store.allBlobs().first)
            #expect(store.allBlobs().count == 1)
            try body(store, blob, publication)
        }

        /// The parity's bytes in the state folder, by shard; empty where there are none.
        func parity(of blob: StoredBlob) throws -> [ShardIndex: [UInt8]] {
            var found: [ShardIndex: [UInt8]] = [:]
            for shard in blob.geometry.shards where !blob.geometry.isData(shard) {
                for cell in 0..<blob.geometry.cellCount(of: shard) {
                    let address = CellAddress(shard: shard, cell: CellIndex(cell))
                    let all = 0..<blob.geometry.leafCount(address)
                    guard let leaves = try blob.read(address, leaves: all) else { continue }
                    found[shard, default: []] += leaves.bytes
                }
            }
            return found
        }

        /// What the blocks of the blobs' folder take of the disk.
        func blocks() throws -> Int {
            try folder.files().filter { $0.contains("state/blobs/") }.reduce(0) { sum, name in
                var status = stat()
                // SAFETY: the path is a NUL-terminated copy, and `status` lives through the call.
                #expect(unsafe stat(folder.path + "/" + name, &status) == 0)
                return sum + Int(status.st_blocks) * 512
            }
        }
    }

    private func expectWithout(_ blob: StoredBlob, _ store: Store) throws {
        #expect(!blob.hasParity && store.usage().total == 0)
        for shard in blob.geometry.shards {
            #expect(blob.layer(of: shard) != nil, "whoever makes the parity is checked by it")
            #expect(blob.holdings(of: shard).isComplete == blob.geometry.isData(shard))
        }
        #expect(try store.verify().isClean)
    }

    /// All ways of two steps, from none to stored and back: link, blob and parity do not depend on
    /// the way.
    @Test(arguments: [false, true]) func parityIsAddedAndDropped(coded: Bool) throws {
        var links: Set<String> = []
        var stored: Set<[ShardIndex: [UInt8]]> = []
        let both = Publisher.Parity.allCases
        for first in both {
            for second in both {
                let desk = try Desk(coded: coded)
                for parity in [first, second, second] {
                    try desk.publish(parity) { (store, blob, publication) throws in
                        links.insert(publication.link.text)
                        #expect(blob.geometry.storedLength < 1_300_000 || !coded)
                        if parity == .none { return try expectWithout(blob, store) }
                        #expect(try store.verify().isClean)
                        stored.insert(try desk.parity(of: blob))
                    }
                    if parity == .none { #expect(try desk.blocks() < 100_000) }
                }
                // And after a restart.
                try desk.publish(second) { (store, blob, publication) throws in
                    #expect(publication.reusedFiles == 1)
                    if second == .none { try expectWithout(blob, store) }
                }
            }
        }
        #expect(links.count == 1 && stored.count == 1)
        let bytes = try #require(stored.first)
        #expect(bytes.count == 2 && Set(bytes.values.map(\.count)).count == 1)
    }

    /// The disk is gone after so many operations, all of them: the next attempt comes to the same.
    @Test func interruptedWithoutParity() throws {
        var link: String?
        let whole = try Desk(coded: false)
        try whole.publish(.none) { (_, _, publication) throws in link = publication.link.text }
        var operations = 1
        while true {
            let desk = try Desk(coded: false)
            let count = Counter()
            let limit = operations
            let faults = DiskFaults { _, _, _ in count.next() > limit ? .fail(EIO) : nil }
            do {
                try desk.publish(.none, faults: faults)
                break
            } catch let error as PetalsError {
                #expect(error.code == .system)
            }
            try desk.publish(.none) { (store, blob, publication) throws in
                #expect(publication.link.text == link)
                try expectWithout(blob, store)
            }
            // A prime, so that all kinds of operations are met.
            operations += 13
        }
        #expect(operations > 40)
    }

    /// Touched, moved, and gone and back: published again it is the same link at no cost in space.
    @Test(arguments: Publisher.Parity.allCases) func publishedAgainItIsTheSame(
        parity: Publisher.Parity
    ) throws {
        let desk = try Desk(coded: false)
        var link = ""
        try desk.publish(parity) { (_, _, publication) throws in link = publication.link.text }
        let before = try desk.blocks()
        // Under its name, which is in the manifest.
        let moved = desk.folder.path + "/elsewhere/model.bin"
        try FileManager.default.createDirectory(
            atPath: desk.folder.path + "/elsewhere", withIntermediateDirectories: false)
        for round in 0..<3 {
            var path = desk.path
            switch round {
            case 0:
                try FileManager.default.setAttributes(
                    [.modificationDate: Date(timeIntervalSince1970: 1)], ofItemAtPath: path)
            case 1:
                let bytes = try #require(FileManager.default.contents(atPath: path))
                try FileManager.default.removeItem(atPath: path)
                // A start without it, which finds that it is gone.
                let state = try StateFolder(opening: desk.folder.path + "/state")
                let store = try Store(folder: state, logger: desk.book.logger, limit: nil)
                #expect(try store.registry.staleSources().map(\.state) == [.missing])
                state.release()
                #expect(FileManager.default.createFile(atPath: path, contents: bytes))
            default:
                try FileManager.default.moveItem(atPath: path, toPath: moved)
                path = moved
            }
            try desk.publish(parity, path: path) { (store, blob, publication) throws in
                #expect(publication.reusedFiles == 1 && publication.link.text == link)
                #expect(blob.sourcePath == path)
                #expect(try store.registry.staleSources().isEmpty)
                #expect(try store.verify().isClean)
                #expect(blob.hasParity == (parity == .stored))
            }
            #expect(try desk.blocks() <= before + 8192)
        }
    }

    private final class Counter: Sendable {
        private let count = Mutex(0)

        func next() -> Int {
            count.withLock { count in
                count += 1
                return count
            }
        }
    }
}
