internal import Logging
internal import PetalsCodec
internal import PetalsCore

/// A folder with the files of a blob's shards, and where things lie in them.
///
/// `StoredBlob` is one, and `BlobDraft`, which becomes a stored blob without moving a byte.
protocol ShardFolder: Sendable {
    var geometry: BlobGeometry { get }
    /// The store's number for the blob while it runs.
    var number: Int32 { get }
    var folder: String { get }
    var context: StoreContext { get }
}

extension ShardFolder {
    func path(_ shard: ShardIndex, _ kind: FileTable.Kind) -> String {
        "\(folder)/\(shard).\(kind == .data ? "data" : "tree")"
    }

    /// The data or tree file of a shard; nil where it is missing and not to be made.
    func file(
        _ shard: ShardIndex, _ kind: FileTable.Kind, creating: Bool = false
    ) throws(PetalsError) -> DiskFile? {
        let key = FileTable.Key(
            blob: number, shard: Int32(clamping: shard.rawValue), kind: kind)
        return try context.files.file(key) { () throws(PetalsError) in
            let path = path(shard, kind)
            let faults = context.folder.faults
            if let file = try DiskFile.open(path, .writing, faults: faults) { return file }
            guard creating else { return nil }
            let file = try DiskFile.create(path, faults: faults)
            try file.setLength(kind == .data ? geometry.shardLength(shard) : treeLength(shard))
            return file
        }
    }

    /// The data or tree file of a shard, made where it is missing.
    func createFile(
        _ shard: ShardIndex, _ kind: FileTable.Kind
    ) throws(PetalsError) -> DiskFile {
        guard let file = try file(shard, kind, creating: true) else {
            throw PetalsError(.system, "cannot create \(path(shard, kind)); check the disk")
        }
        return file
    }

    /// Where a cell's bytes are in the data file.
    func dataRange(_ address: CellAddress) -> Range<Int> {
        let start = address.cell.rawValue * Limits.cellBytes
        return start..<start + geometry.cellLength(address)
    }

    /// Where a leaf's hash is in the tree file.
    func leafHashOffset(_ address: CellAddress, leaf: Int) -> Int {
        (address.cell.rawValue * Limits.leavesPerCell + leaf) * Digest.byteCount
    }

    /// Where all leaf hashes of a cell are in the tree file.
    func leafHashRange(_ address: CellAddress) -> Range<Int> {
        let start = leafHashOffset(address, leaf: 0)
        return start..<start + geometry.leafCount(address) * Digest.byteCount
    }

    /// Where the cell hashes are in the tree file: behind the leaf hashes.
    func layerRange(_ shard: ShardIndex) -> Range<Int> {
        let start = geometry.leafCount(of: shard) * Digest.byteCount
        return start..<start + geometry.cellCount(of: shard) * Digest.byteCount
    }

    func treeLength(_ shard: ShardIndex) -> Int { layerRange(shard).upperBound }

    /// The leaf hashes of a cell as they are on the disk; zero where there is none.
    func readLeafHashes(_ address: CellAddress) throws(PetalsError) -> [Digest] {
        let range = leafHashRange(address)
        let bytes = try file(address.shard, .tree)?.read(count: range.count, at: range.lowerBound)
        return digests(bytes ?? [], count: geometry.leafCount(address))
    }

    /// The first `count` digests of `bytes`; zero where they end.
    func digests(_ bytes: [UInt8], from first: Int = 0, count: Int) -> [Digest] {
        // SAFETY: the span is used while `bytes` lives, and `Digest` checks its bounds.
        let span = unsafe bytes.span.bytes
        return (first..<first + count).map { Digest(span, at: $0 * Digest.byteCount) ?? .zero }
    }

    /// Reports trouble that the store deals with itself.
    func warn(_ text: String) {
        context.logger.warning("\(text)")
    }
}
