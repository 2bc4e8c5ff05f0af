import PetalsCore
import PetalsTesting
import Testing

/// Trees that a manifest may not describe.
@Suite struct ManifestValidationTests {
    private func manifest(
        _ paths: [String], name: String = "m", singleFile: Bool = false
    ) throws -> ModelManifest {
        ModelManifest(
            name: name, singleFile: singleFile, entries: try paths.map { try Samples.entry($0) },
            metadata: ModelMetadata())
    }

    @Test(
        arguments: [
            ["a"], ["a", "b"], ["a/b", "a/c"], ["a/b/c", "a/b.c", "a/bc"], ["A", "a"],
            ["a/b", "b/a", "c"],
        ])
    func soundTreesAreTaken(paths: [String]) throws {
        let value = try manifest(paths)
        try value.validate()
        #expect(try ModelManifest(parsing: value.serialized()) == value)
    }

    @Test(
        arguments: [
            ["a", "a"], ["caf\u{E9}", "cafe\u{301}"], ["x/caf\u{E9}", "x/cafe\u{301}"],
            ["\u{212B}", "\u{C5}", "b"], ["a", "a/b"], ["a/b", "a"], ["a/b/c", "a/b"],
            ["a/b/c/d", "a/b"], ["caf\u{E9}", "cafe\u{301}/x"],
        ])
    func clashesAreRefused(paths: [String]) throws {
        let value = try manifest(paths)
        #expect(throws: PetalsError.self) { try value.validate() }
        #expect(throws: PetalsError.self) { try ModelManifest(parsing: value.serialized()) }
    }

    @Test(arguments: ["", ".", "..", "a/b", "a\nb", String(repeating: "n", count: 256)])
    func badModelNamesAreRefused(name: String) throws {
        let value = try manifest(["a"], name: name)
        #expect(throws: PetalsError.self) { try value.validate() }
        #expect(throws: PetalsError.self) { try ModelManifest(parsing: value.serialized()) }
    }

    @Test func singleFilesAreOnePlainFile() throws {
        try manifest(["a"], singleFile: true).validate()
        for paths in [["a", "b"], ["a/b"]] {
            let value = try manifest(paths, singleFile: true)
            #expect(throws: PetalsError.self) { try value.validate() }
        }
    }

    @Test(arguments: ["../a", "/a", "a//b", "a/./b", "a/\u{0}"])
    func hostilePathsInADocumentAreRefused(path: String) {
        let bytes = ProtobufWriter {
            $0.number(1, 1)
            $0.data(2, "m".utf8)
            $0.message(4) { $0.data(1, path.utf8) }
        }.bytes
        #expect(throws: PetalsError.self) { try ModelManifest(parsing: bytes) }
    }

    @Test func namesThatAreNoTextAreRefused() {
        let bytes = ProtobufWriter {
            $0.number(1, 1)
            $0.data(2, "m".utf8)
            $0.message(4) { $0.data(1, [0x61, 0xC3, 0x28]) }
        }.bytes
        #expect(throws: PetalsError.self) { try ModelManifest(parsing: bytes) }
    }

    @Test func emptyManifestsAreRefused() throws {
        let value = try manifest([])
        #expect(throws: PetalsError.self) { try ModelManifest(parsing: value.serialized()) }
    }

    @Test func tooManyFilesAreRefused() {
        var writer = ProtobufWriter { $0.number(1, 1) }
        writer.data(2, "m".utf8)
        for _ in 0...Limits.filesMax { writer.data(4, []) }
        let error = #expect(throws: PetalsError.self) { try ModelManifest(parsing: writer.bytes) }
        #expect(error?.code == .limitExceeded)
    }

    @Test func namesTogetherAreLimited() throws {
        // 17,000 names of 250 bytes: each is fine, together they are more than 4 MiB.
        let filler = String(repeating: "x", count: 244)
        let paths = (100_000..<117_000).map { "\($0)" + filler }
        let error = #expect(throws: PetalsError.self) { try manifest(paths).validate() }
        #expect(error?.code == .limitExceeded)
        try manifest(Array(paths.prefix(1000))).validate()
    }

    @Test func sizesTogetherAreLimited() throws {
        var generator = SeededGenerator(seed: 10)
        let record = FileRecord(
            size: Limits.blobBytesMax, sha256: generator.digest(),
            frames: try FrameTable(size: Limits.blobBytesMax, codec: .raw, lengths: []),
            blobID: generator.digest(), blobKey: try generator.key())
        var value = try manifest([])
        value.entries = try ["a", "b"].map {
            ManifestEntry(path: try ModelPath($0), executable: false, content: .record(record))
        }
        #expect(throws: PetalsError.self) { try value.validate() }
        value.entries.removeLast()
        try value.validate()
    }

    @Test func prefetchOutsideIsDropped() throws {
        let bytes = ProtobufWriter {
            $0.number(1, 1)
            $0.data(2, "m".utf8)
            $0.message(4) { $0.data(1, "a".utf8) }
            $0.data(6, [0, 1, 0xFF, 0xFF, 0xFF, 0xFF, 0x0F])
        }.bytes
        #expect(try ModelManifest(parsing: bytes).prefetch == [0])
    }
}
