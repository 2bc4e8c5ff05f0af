import PetalsCore
import Testing

/// Documents come back as they went out, equal documents have equal bytes, and damaged ones give an
/// error or another sound value, never a trap.
@Suite struct DocumentTests {
    @Test func descriptorComesBack() throws {
        let value = try Samples.descriptor()
        let bytes = value.serialized()
        #expect(try BlobDescriptor(parsing: bytes) == value)
        Mutations.each(of: bytes) { bytes in
            guard let read = try? BlobDescriptor(parsing: bytes) else { return }
            check(read.serialized(), try? BlobDescriptor(parsing: read.serialized()), read)
            #expect(read.shardRoots.count == read.geometry.shardCount)
        }
    }

    @Test(arguments: FrameCodec.allCases, [true, false])
    func recordComesBack(codec: FrameCodec, isPublic: Bool) throws {
        let value = try Samples.record(codec: codec, isPublic: isPublic)
        #expect((value.storedSHA256 != nil) == isPublic)
        let bytes = value.serialized()
        #expect(try FileRecord(parsing: bytes) == value)
        Mutations.each(of: bytes) { bytes in
            guard let read = try? FileRecord(parsing: bytes) else { return }
            check(read.serialized(), try? FileRecord(parsing: read.serialized()), read)
            #expect(read.frames.size == read.size)
        }
    }

    @Test func manifestComesBack() throws {
        let value = try Samples.manifest()
        let bytes = value.serialized()
        #expect(try ModelManifest(parsing: bytes) == value)
        #expect(value.size == 2 * Limits.frameBytes + 102)
        #expect(value.storedSize == 1000 + 262_144 + 99 + 2)
        Mutations.each(of: bytes) { bytes in
            guard let read = try? ModelManifest(parsing: bytes) else { return }
            check(read.serialized(), try? ModelManifest(parsing: read.serialized()), read)
            #expect(read.prefetch.allSatisfy(read.entries.indices.contains))
        }
    }

    @Test func outerPartComesBack() throws {
        let value = try Samples.outer()
        let bytes = value.serialized()
        #expect(try ManifestOuter(parsing: bytes) == value)
        Mutations.each(of: bytes) { bytes in
            guard let read = try? ManifestOuter(parsing: bytes) else { return }
            check(read.serialized(), try? ManifestOuter(parsing: read.serialized()), read)
        }
    }

    @Test func signedInnerComesBack() throws {
        let value = SignedInner(
            body: Array(0..<50), publisher: Array(repeating: 7, count: 32),
            signature: Array(repeating: 9, count: 64))
        let bytes = value.serialized()
        #expect(try SignedInner(parsing: bytes) == value)
        Mutations.each(of: bytes) { bytes in
            guard let read = try? SignedInner(parsing: bytes) else { return }
            check(read.serialized(), try? SignedInner(parsing: read.serialized()), read)
        }
    }

    @Test func sealedManifestComesBack() throws {
        let value = SealedManifest(outer: Array(0..<90), inner: Array(repeating: 5, count: 70))
        let bytes = value.serialized()
        #expect(try SealedManifest(parsing: bytes) == value)
        Mutations.each(of: bytes) { bytes in
            guard let read = try? SealedManifest(parsing: bytes) else { return }
            check(read.serialized(), try? SealedManifest(parsing: read.serialized()), read)
        }
    }

    /// The bytes that public ids depend on, written by hand from the field table.
    @Test func descriptorHasTheBytesOfTheFormat() throws {
        let value = try Samples.descriptor()
        let byHand = ProtobufWriter {
            $0.number(1, 1)
            $0.number(2, UInt64(5 * 262_144 + 7))
            $0.number(3, 2)
            $0.number(4, 3)
            $0.number(5, 2)
            $0.number(6, 262_144)
            $0.number(7, 16_384)
            $0.number(8, 1)
            $0.number(9, 1)
            $0.data(10, value.shardRoots.flatMap(\.bytes))
        }
        #expect(value.serialized() == byHand.bytes)
    }

    @Test func recordHasTheBytesOfTheFormat() throws {
        let value = try Samples.record()
        let byHand = ProtobufWriter {
            $0.number(1, UInt64(value.size))
            $0.data(2, value.sha256.bytes)
            $0.number(3, 1)
            $0.data(4, [0xE8, 0x03, 0, 0, 0, 0, 4, 0, 99, 0, 0, 0])
            $0.data(5, value.blobID.bytes)
            $0.data(6, value.blobKey.bytes)
            $0.data(7, value.storedSHA256?.bytes ?? [])
        }
        #expect(value.serialized() == byHand.bytes)
    }

    /// 32 bytes or none; and a raw file's stored stream is the file.
    @Test func otherStoredDigestsAreRefused() throws {
        for codec in FrameCodec.allCases {
            let value = try Samples.record(codec: codec, isPublic: false)
            let bytes = value.serialized()
            func with(_ digest: [UInt8]) -> [UInt8] {
                bytes + ProtobufWriter { $0.data(7, digest) }.bytes
            }
            for count in 1...64 where count != 32 {
                #expect(throws: PetalsError.self) {
                    try FileRecord(parsing: with([UInt8](repeating: 1, count: count)))
                }
            }
            #expect(try FileRecord(parsing: with([])).storedSHA256 == nil)
            #expect(
                try FileRecord(parsing: with(value.sha256.bytes)).storedSHA256 == value.sha256)
            let other = with([UInt8](repeating: 1, count: 32))
            #expect((try? FileRecord(parsing: other)) == nil || codec != .raw)
        }
    }

    @Test(
        arguments: [
            (1, 0), (1, 2), (6, 262_143), (7, 4096), (8, 0), (8, 2), (9, 2),
            (1, UInt64(UInt32.max)),
        ] as [(UInt64, UInt64)])
    func otherVersionsAreNamed(field: UInt64, value: UInt64) throws {
        // The last occurrence of a field counts.
        var writer = ProtobufWriter()
        writer.number(field, value)
        let bytes = try Samples.descriptor().serialized() + writer.bytes
        let error = #expect(throws: PetalsError.self) { try BlobDescriptor(parsing: bytes) }
        #expect(error?.code == .unsupportedVersion)
    }

    @Test(
        arguments: [
            (2, 0), (2, .max), (2, 1 << 44 + 1), (3, 0), (3, 33), (3, 3), (4, 2), (4, 65), (5, 0),
            (5, 763), (3, .max), (5, 1), (2, 1),
        ] as [(UInt64, UInt64)])
    func impossibleDescriptorsAreRefused(field: UInt64, value: UInt64) throws {
        var writer = ProtobufWriter()
        writer.number(field, value)
        let bytes = try Samples.descriptor().serialized() + writer.bytes
        #expect(throws: PetalsError.self) { try BlobDescriptor(parsing: bytes) }
    }

    @Test(
        arguments: [(1, 0), (1, .max), (1, 1 << 44 + 1), (3, 4), (3, 0), (1, 5)]
            as [(UInt64, UInt64)])
    func impossibleRecordsAreRefused(field: UInt64, value: UInt64) throws {
        var writer = ProtobufWriter()
        writer.number(field, value)
        let bytes = try Samples.record().serialized() + writer.bytes
        #expect(throws: PetalsError.self) { try FileRecord(parsing: bytes) }
    }

    @Test func nestedBombsAreRefused() {
        // Groups (wire type 3) within groups in an unknown field: depth without size.
        let bomb = [UInt8](repeating: 0x7B, count: 100_000)
        #expect(throws: PetalsError.self) { try ModelManifest(parsing: bomb) }
        #expect(throws: PetalsError.self) {
            try ControlMessage(parsing: Array(bomb.prefix(60_000)))
        }
    }

    @Test func oversizedDocumentsAreRefusedUnread() {
        let large = [UInt8](repeating: 0, count: Limits.manifestBytesMax + 1)
        for parse in [
            { _ = try ModelManifest(parsing: large) }, { _ = try SealedManifest(parsing: large) },
            { _ = try ManifestOuter(parsing: large) }, { _ = try BlobDescriptor(parsing: large) },
            { _ = try FileRecord(parsing: large) },
        ] as [() throws -> Void] {
            let error = #expect(throws: PetalsError.self) { try parse() }
            #expect(error?.code == .limitExceeded)
        }
    }

    /// What a damaged document was read as has to come back as itself.
    private func check<Value: Equatable>(_ bytes: [UInt8], _ again: Value?, _ value: Value) {
        if again != value { Issue.record("\(value) reads as \(String(describing: again))") }
    }
}
