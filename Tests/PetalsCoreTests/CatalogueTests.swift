import PetalsTesting
import Testing

@testable import PetalsCore

/// The documents of a catalogue: what they say, what they refuse, and links to them.
@Suite struct CatalogueTests {
    private func code(_ body: () throws -> Void) -> PetalsError.Code? {
        do {
            try body()
            return nil
        } catch {
            return (error as? PetalsError)?.code
        }
    }

    @Test func aLogSaysWhatItsRecordsSayInOrder() throws {
        var log = CatalogueLog()
        try log.append(.title("First"))
        for name in ["a", "b", "c"] { try log.append(.entry(SampleCatalogue.entry(name))) }
        #expect(log.entries.map(\.name) == ["a", "b", "c"])
        try log.append(.withdrawn("b"))
        try log.append(.withdrawn("nothing"))
        #expect(log.entries.map(\.name) == ["a", "c"])
        let newer = try SampleCatalogue.entry("a", version: 2)
        try log.append(.entry(newer))
        #expect(log.entry(named: "a") == newer && log.entries.map(\.name) == ["c", "a"])
        try log.append(.entry(SampleCatalogue.entry("b")))
        try log.append(.title("Second"))
        #expect(log.entries.map(\.name) == ["c", "a", "b"] && log.title == "Second")
        let parsed = try CatalogueLog(parsing: log.serialized())
        #expect(parsed == log && parsed.entries == log.entries && parsed.title == log.title)
    }

    @Test func everyFieldOfAnEntryTravels() throws {
        var entry = try SampleCatalogue.entry("model.gguf", size: 5)
        entry.isExecutable = true
        entry.metadata.tags = ["x", "y"]
        entry.metadata.origin = "example.org/model"
        var folder = try SampleCatalogue.entry("folder")
        folder.isSingleFile = false
        folder.sha256 = nil
        folder.metadata = ModelMetadata()
        folder.capability = .relay(try #require(SecretKey(Array(repeating: 4, count: 32))))
        for entry in [entry, folder] {
            let bytes = CatalogueRecord.entry(entry).serialized()
            #expect(try CatalogueRecord(parsing: bytes) == .entry(entry))
        }
        #expect(entry.isReadable && entry.link.text.hasPrefix("petals:r1:"))
        #expect(!folder.isReadable && folder.link.text.hasPrefix("petals:v1:"))
    }

    /// Records that say nothing keep their place, and those after them count.
    @Test func whatIsNotUnderstoodIsSkippedWithAReason() throws {
        let names = [
            "", ".", "..", "a/b", "a\u{1b}[2Jb", "a\nb", String(repeating: "x", count: 256),
        ]
        var strange: [[UInt8]] = names.map { name in
            ProtobufWriter {
                $0.message(2) {
                    $0.data(1, name.utf8)
                    $0.data(2, Array(repeating: 1, count: 32))
                    $0.data(3, Array(repeating: 1, count: 32))
                }
            }.bytes
        }
        // Without a key, with a short id, of a later kind, no message at all, nothing.
        strange.append(ProtobufWriter { $0.message(2) { $0.data(1, "x".utf8) } }.bytes)
        strange.append(
            ProtobufWriter {
                $0.message(2) {
                    $0.data(1, "x".utf8)
                    $0.data(2, [1])
                    $0.data(3, Array(repeating: 1, count: 32))
                }
            }.bytes)
        strange.append(ProtobufWriter { $0.message(9) { $0.number(1, 1) } }.bytes)
        strange += [[0xFF], []]
        for text in ["\u{1b}]0;x", "two\nlines", String(repeating: "x", count: 256)] {
            strange.append(ProtobufWriter { $0.data(1, text.utf8) }.bytes)
            for field: UInt64 in 1...8 {
                strange.append(
                    ProtobufWriter {
                        $0.message(2) {
                            $0.data(1, "x".utf8)
                            $0.data(2, Array(repeating: 1, count: 32))
                            $0.data(3, Array(repeating: 1, count: 32))
                            $0.message(9) { $0.data(field, text.utf8) }
                        }
                    }.bytes)
            }
        }
        let bytes = ProtobufWriter { log in
            for record in strange { log.data(1, record) }
            log.data(1, CatalogueRecord.title("Still here").serialized())
        }.bytes
        let log = try CatalogueLog(parsing: bytes)
        #expect(log.ignored.map(\.position) == Array(strange.indices))
        #expect(log.entries.isEmpty && log.title == "Still here")
        #expect(log.records.count == strange.count + 1)
    }

    /// A later petalsfs may add fields to a record, and none to the log around it.
    @Test func unknownFieldsAreLeftAloneInRecordsAndRefusedAroundThem() throws {
        let record =
            CatalogueRecord.title("x").serialized() + ProtobufWriter { $0.number(30, 1) }.bytes
        let good = ProtobufWriter { $0.data(1, record) }.bytes
        let log = try CatalogueLog(parsing: good)
        #expect(log.title == "x" && log.records == [record] && log.serialized() == good)
        let bad = good + ProtobufWriter { $0.number(2, 1) }.bytes
        #expect(code { _ = try CatalogueLog(parsing: bad) } == .corrupt)
    }

    @Test func limitsHold() throws {
        let title = CatalogueRecord.title("x").serialized()
        let most = ProtobufWriter { log in
            for _ in 0..<Limits.catalogueRecordsMax { log.data(1, title) }
        }.bytes
        var log = try CatalogueLog(parsing: most)
        #expect(code { try log.append(.title("y")) } == .limitExceeded)
        let more = most + ProtobufWriter { $0.data(1, title) }.bytes
        #expect(code { _ = try CatalogueLog(parsing: more) } == .limitExceeded)
        let long = ProtobufWriter {
            $0.data(1, Array(repeating: 0, count: Limits.catalogueRecordBytesMax + 1))
        }.bytes
        #expect(code { _ = try CatalogueLog(parsing: long) } == .limitExceeded)
        let large = [UInt8](repeating: 0, count: Limits.catalogueLogBytesMax + 1)
        #expect(code { _ = try CatalogueLog(parsing: large) } == .limitExceeded)
        #expect(code { _ = try SignedHead(parsing: Array(large[...1000])) } == .limitExceeded)
    }

    /// What a hostile head claims is refused before anything is fetched for it.
    @Test func aHeadBeyondTheLimitsIsRefused() throws {
        let digest = [UInt8](repeating: 1, count: 32)
        func head(
            version: UInt64 = 1, owner: [UInt8]? = nil, sequence: UInt64 = 1, bytes: UInt64 = 1,
            time: UInt64 = 1
        ) -> [UInt8] {
            ProtobufWriter {
                $0.number(1, version)
                $0.data(2, owner ?? digest)
                $0.number(4, sequence)
                $0.data(5, digest)
                $0.data(6, digest)
                $0.number(7, bytes)
                $0.number(8, time)
            }.bytes
        }
        _ = try CatalogueHead(parsing: head())
        for (bytes, expected) in [
            (head(version: 2), .unsupportedVersion), (head(owner: [1]), .corrupt),
            (head(sequence: 0), .limitExceeded), (head(sequence: 10_001), .limitExceeded),
            (head(bytes: 0), .limitExceeded), (head(bytes: 1 << 25), .limitExceeded),
            (head(sequence: .max), .corrupt), (head(time: .max), .corrupt),
            (head(time: 1 << 62), .corrupt),
        ] as [([UInt8], PetalsError.Code)] {
            #expect(code { _ = try CatalogueHead(parsing: bytes) } == expected)
        }
    }

    @Test func aLinkNamesItsOwner() throws {
        let id = try SampleCatalogue().id
        let link = CatalogueLink(id: id, name: "My models", peers: ["127.0.0.1:5"])
        #expect(link.text.hasSuffix("?name=My%20models&peer=127.0.0.1:5"))
        #expect(link.core.count == "petals:c1:".count + 52 + 6)
        #expect(try CatalogueLink(parsing: " \(link.text)\n") == link)
        #expect(
            try CatalogueLink(
                parsing: link.core.uppercased().replacing("PETALS:C1", with: "petals:c1")
            ).id == id)
        #expect(
            CatalogueLink.isMeant(by: " petals:c1:x") && !CatalogueLink.isMeant(by: "petals:r1:x"))
        // Of those that were made before there was a checksum.
        #expect(try CatalogueLink(parsing: "petals:c1:" + Base32.encode(id.bytes)).id == id)
        for wrong in [
            "", "petals:c1:", "petals:r1:" + Base32.encode(id.bytes), String(link.core.dropLast()),
            link.core.replacing("c1:", with: "c1:a").dropLast() + "a", link.core + "a",
            link.core.replacing("c1:", with: "c1:1"), link.core + "?name=a%2Fb",
        ] {
            #expect(code { _ = try CatalogueLink(parsing: wrong) } == .badInput, "\(wrong)")
        }
    }
}
