import PetalsCore
import PetalsTesting
import Testing

/// Small documents with every field set, the same each time.
enum Samples {
    static func record(
        seed: UInt64 = 7, codec: FrameCodec = .lz4, isPublic: Bool = true
    ) throws -> FileRecord {
        var generator = SeededGenerator(seed: seed)
        let size = 2 * Limits.frameBytes + 100
        let digest = generator.digest()
        return FileRecord(
            size: size, sha256: digest,
            frames: try FrameTable(
                size: size, codec: codec, lengths: codec == .raw ? [] : [1000, 262_144, 99]),
            blobID: generator.digest(), blobKey: try generator.key(),
            storedSHA256: isPublic ? codec == .raw ? digest : generator.digest() : nil)
    }

    static func entry(_ path: String, bytes: [UInt8] = [1, 2, 3]) throws -> ManifestEntry {
        ManifestEntry(path: try ModelPath(path), executable: false, content: .inlined(bytes))
    }

    static func manifest() throws -> ModelManifest {
        var metadata = ModelMetadata()
        metadata.version = "1.2"
        metadata.format = "gguf"
        metadata.license = "apache-2.0"
        metadata.parameters = "270M"
        metadata.quantization = "Q4_K_M"
        metadata.origin = "someone/something"
        metadata.commit = "0123abcd"
        metadata.tags = ["text", "small"]
        return ModelManifest(
            name: "gemma ünï", singleFile: false,
            entries: [
                ManifestEntry(
                    path: try ModelPath("weights/model.gguf"), executable: false,
                    content: .record(try record())),
                ManifestEntry(
                    path: try ModelPath("run.sh"), executable: true, content: .inlined([35, 33])),
                try entry("empty", bytes: []),
            ], metadata: metadata, prefetch: [0, 2])
    }

    static func descriptor() throws -> BlobDescriptor {
        var generator = SeededGenerator(seed: 8)
        let geometry = try BlobGeometry(
            storedLength: 5 * Limits.cellBytes + 7, dataShards: 2, groupShards: 3, rowsPerGroup: 2)
        return BlobDescriptor(
            geometry: geometry,
            shardRoots: (0..<geometry.shardCount).map { _ in generator.digest() })
    }

    static func outer() throws -> ManifestOuter {
        var generator = SeededGenerator(seed: 9)
        let grants = try (0..<3).map { _ in
            BlobGrant(blobID: generator.digest(), relayKey: try generator.key())
        }
        return ManifestOuter(grants: grants, innerDigest: generator.digest())
    }
}
