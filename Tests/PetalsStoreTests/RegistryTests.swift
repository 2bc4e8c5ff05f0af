import Foundation
import GRDB
import PetalsCodec
import PetalsCore
import PetalsTesting
import Testing

@testable import PetalsStore

/// The registry: what goes in comes out, also after it was closed, and damage is said plainly.
@Suite struct RegistryTests {
    let temporary: TemporaryFolder
    let book = LogBook()
    var path: String { temporary.path + "/state" }

    init() throws {
        temporary = try TemporaryFolder()
    }

    private func open() throws -> Registry {
        try Registry(folder: StateFolder(opening: path), logger: book.logger)
    }

    @Test func rowsComeBackAsTheyWere() throws {
        let blob = try TestBlob()
        let held = ModelRow(
            name: "held ü/…", manifestID: sha256([9]), capability: .relay(blob.relayKey),
            origin: .held, addedAt: 5, shards: [0, 3, 7])
        let none = ModelRow(
            name: "none", manifestID: sha256([9]), capability: .relay(blob.relayKey),
            origin: .held, addedAt: 5, shards: [])
        let source = SourceRow(
            blobID: blob.id, path: "/x/ü",
            stamp: FileStamp(
                size: 1, modified: -2, changed: .max, inode: 4), record: blob.record)
        let manifest = Array("manifest".utf8)
        let published = ModelRow(
            name: "published", manifestID: sha256(manifest),
            capability: .read(blob.record.blobKey), origin: .published, addedAt: 6)
        do {
            let registry = try open()
            try registry.add(held)
            try registry.add(none, blobs: [BlobRow(blobID: blob.id, relayKey: blob.relayKey)])
            #expect(try registry.blob(blob.id)?.descriptor == nil)
            try registry.publish(
                model: published, manifest: manifest, blobs: [blob.row], sources: [source])
        }
        #expect(try mode(path + "/petals.sqlite") == 0o600)
        let registry = try open()
        #expect(try registry.models() == [held, none, published])
        #expect(try registry.model(named: "published") == published)
        #expect(try registry.model(named: "Published") == nil)
        #expect(try registry.blobs() == [blob.row])
        #expect(try registry.blobs(ofModel: "published") == [blob.row])
        #expect(try registry.blobs(ofModel: "held ü/…").isEmpty)
        #expect(try registry.sources() == [source])
        #expect(try registry.readManifest(published.manifestID) == manifest)
        // Another file, or this one at another time, is not the one that is meant.
        let stamp = source.stamp
        for (path, inode) in [(source.path + "x", stamp.inode), (source.path, stamp.inode + 1)] {
            let other = SourceRow(
                blobID: blob.id, path: path,
                stamp: FileStamp(
                    size: stamp.size, modified: stamp.modified, changed: stamp.changed,
                    inode: inode), record: source.record)
            try registry.markStale(other, as: .missing)
            #expect(try registry.source(of: blob.id)?.state == .current)
        }
        for state in [SourceState.changed, .damaged, .missing] {
            try registry.markStale(source, as: state)
            #expect(try registry.source(of: blob.id)?.state == state)
            #expect(
                try registry.staleSources()
                    == [StaleSource(blobID: blob.id, path: source.path, state: state)])
        }
        #expect(try registry.source(of: blob.id)?.isStale == true)
    }

    @Test func aNameIsTakenOnce() throws {
        let registry = try open()
        let blob = try TestBlob()
        try registry.add(blob.model("x"))
        #expect(code { try registry.add(blob.model("x")) } == .badInput)
        let sentence = message {
            try registry.publish(model: blob.model("x"), manifest: [], blobs: [], sources: [])
        }
        #expect(
            sentence == "a model named “x” is registered already; choose another with --name or "
                + "remove it with `petalsfs rm x`")
        #expect(code { _ = try registry.removeModel("y") } == .notFound)
        #expect(code { try registry.link([], to: "y") } == .notFound)
        #expect(code { try registry.replace(blob.model("y")) } == .notFound)
    }

    @Test func aPublicationIsThereAsAWholeOrNotAtAll() throws {
        let registry = try open()
        let blob = try TestBlob()
        // A manifest that is not the one named: nothing of the rest is entered.
        #expect(
            code {
                try registry.publish(
                    model: blob.model("x"), manifest: [1], blobs: [blob.row], sources: [])
            } == .corrupt)
        // A source of a blob that is not among the blobs breaks the last step of the transaction.
        let stray = SourceRow(
            blobID: sha256([1]), path: "/x",
            stamp: FileStamp(size: 1, modified: 1, changed: 1, inode: 1), record: blob.record)
        let manifest = Array("x".utf8)
        #expect(
            code {
                try registry.publish(
                    model: blob.model("x"), manifest: manifest, blobs: [blob.row],
                    sources: [stray])
            } != nil)
        #expect(try registry.models().isEmpty)
        #expect(try registry.blobs().isEmpty)
    }

    @Test func removingAModelGivesTheBlobsThatNobodyElseUses() throws {
        let registry = try open()
        let (a, b) = (try TestBlob(seed: 1, size: 70_000), try TestBlob(seed: 2, size: 70_000))
        try registry.add(a.model("one"), blobs: [a.row, b.row])
        try registry.add(a.model("two"))
        try registry.link([b.row], to: "two")
        try registry.setClass(.held, of: [ShardIndex(1)], blob: a.id)
        try registry.storeManifest(Array("one".utf8), id: a.model("one").manifestID)
        #expect(try registry.removeModel("one") == [a.id])
        #expect(try registry.readManifest(a.model("one").manifestID) == nil)
        #expect(try registry.classes(of: a.id).isEmpty)
        #expect(try registry.blobs() == [b.row])
        #expect(try registry.removeModel("two") == [b.id])
        #expect(try registry.blobs().isEmpty)
    }

    @Test func aModelStandsForSomethingElse() throws {
        let registry = try open()
        let blob = try TestBlob(size: 70_000)
        try registry.add(blob.model("x"))
        let new = ModelRow(
            name: "x", manifestID: sha256([5]), capability: .relay(blob.relayKey), origin: .added,
            addedAt: 7)
        try registry.replace(new)
        #expect(try registry.models() == [new])
    }

    @Test func whatCameOfACheckIsRemembered() throws {
        let blob = try TestBlob(size: 70_000)
        func row(_ name: String, _ check: ModelRow.Check?) -> ModelRow {
            ModelRow(
                name: name, manifestID: sha256([5]), capability: .read(blob.record.blobKey),
                origin: .added, addedAt: 7, check: check)
        }
        let checks = [nil] + ModelRow.Check.allCases.map { Optional($0) }
        do {
            let registry = try open()
            for (index, check) in checks.enumerated() { try registry.add(row("\(index)", check)) }
        }
        let registry = try open()
        #expect(try registry.models().map(\.check) == checks)
        for check in ModelRow.Check.allCases {
            try registry.setCheck(check, of: "1", manifestID: sha256([5]))
            #expect(try registry.model(named: "1") == row("1", check))
            // Another manifest under the name, and a name that is gone.
            try registry.setCheck(.unchecked, of: "1", manifestID: sha256([6]))
            try registry.setCheck(.unchecked, of: "gone", manifestID: sha256([5]))
            #expect(try registry.models().map(\.check)[1] == check)
            try registry.replace(row("2", check))
            #expect(try registry.model(named: "2")?.check == check)
        }
        #expect(try registry.models().map(\.check)[0] == nil)
        #expect(code { try registry.requireFree("1") } == .badInput)
        try registry.requireFree("gone")
    }

    /// A registry of version 1, as it was released, comes through with all that is in it.
    @Test func aRegistryOfVersionOneIsMigrated() throws {
        let blob = try TestBlob(size: 70_000)
        let model = blob.model("old")
        do {
            let registry = try open()
            try registry.add(model, blobs: [blob.row])
            // What later versions have more is taken away.
            try registry.queue.write { database in
                try database.execute(
                    sql: """
                        DROP TABLE credit_books;
                        DROP TABLE credit_peers;
                        DROP TABLE credit_evidence;
                        DROP TABLE credit_blobs;
                        DROP TABLE pins;
                        DROP TABLE peers;
                        DROP TABLE donations;
                        DROP TABLE donated_models;
                        DROP TABLE catalogue_models;
                        DROP TABLE catalogue_evidence;
                        DROP TABLE catalogues;
                        ALTER TABLE models RENAME TO newer;
                        CREATE TABLE models (
                            name TEXT PRIMARY KEY NOT NULL, manifest_id BLOB NOT NULL,
                            capability TEXT NOT NULL CHECK (capability IN ('read', 'relay')),
                            key BLOB NOT NULL,
                            origin TEXT NOT NULL
                                CHECK (origin IN ('published', 'added', 'held')),
                            added_at INTEGER NOT NULL, shards TEXT) STRICT, WITHOUT ROWID;
                        INSERT INTO models SELECT
                            name, manifest_id, capability, key, origin, added_at, shards
                            FROM newer;
                        CREATE TABLE older_blobs (
                            name TEXT NOT NULL
                                REFERENCES models ON DELETE CASCADE ON UPDATE CASCADE,
                            blob_id BLOB NOT NULL REFERENCES blobs ON DELETE CASCADE,
                            PRIMARY KEY (name, blob_id)) STRICT, WITHOUT ROWID;
                        INSERT INTO older_blobs SELECT name, blob_id FROM model_blobs;
                        DROP TABLE model_blobs;
                        ALTER TABLE older_blobs RENAME TO model_blobs;
                        DROP TABLE newer;
                        DELETE FROM grdb_migrations WHERE identifier <> '1';
                        PRAGMA user_version = 1;
                        """)
            }
        }
        let registry = try open()
        #expect(try registry.models() == [model])
        #expect(try registry.blobs(ofModel: "old") == [blob.row])
        #expect(try registry.rememberedPeers(now: 0).isEmpty)
        try registry.setCheck(.checked, of: "old", manifestID: model.manifestID)
        #expect(try registry.model(named: "old")?.check == .checked)
    }

    /// The newest two hundred of the last 14 days, each once.
    @Test func peersAreRememberedForAWhile() throws {
        let day = 86_400
        func names(_ registry: Registry, now: Int) throws -> [String] {
            try registry.rememberedPeers(now: now).map { "\($0.host):\($0.port)" }
        }
        do {
            let registry = try open()
            try registry.remember([("9.9.9.9", 1), ("::1", 2)], now: 100 * day)
            try registry.remember([("9.9.9.9", 1), ("9.9.9.9", 2)], now: 101 * day)
            #expect(
                try names(registry, now: 101 * day) == ["9.9.9.9:1", "9.9.9.9:2", "::1:2"])
        }
        let registry = try open()
        #expect(try names(registry, now: 115 * day) == ["9.9.9.9:1", "9.9.9.9:2"])
        #expect(try names(registry, now: 115 * day + 1).isEmpty)
        #expect(try names(registry, now: 98 * day).isEmpty, "the clock was set back")
        for number in 0..<300 {
            try registry.remember([("10.0.0.1", number + 1)], now: 110 * day + number)
        }
        let kept = (100..<300).reversed().map { "10.0.0.1:\($0 + 1)" }
        #expect(try names(registry, now: 111 * day) == kept)
        #expect(code { try registry.remember([("9.9.9.9", 0)], now: 0) } != nil)
        #expect(try names(registry, now: 111 * day) == kept)
    }

    @Test func aDescriptorThatIsKnownStays() throws {
        let registry = try open()
        let blob = try TestBlob(size: 70_000)
        try registry.insert(blob.row)
        try registry.insert(BlobRow(blobID: blob.id, relayKey: blob.relayKey))
        #expect(try registry.blob(blob.id) == blob.row)
    }

    @Test func aDamagedManifestIsAbsent() throws {
        let registry = try open()
        let bytes = [UInt8](repeating: 3, count: 1000)
        let id = sha256(bytes)
        try registry.storeManifest(bytes, id: id)
        let file = path + "/manifests/" + id.hex
        #expect(try mode(file) == 0o600)
        try patch(file) { $0[500] ^= 1 }
        #expect(try registry.readManifest(id) == nil)
        #expect(!FileManager.default.fileExists(atPath: file))
        #expect(book.all.contains { $0.contains(file) })
        #expect(try registry.readManifest(id) == nil)
        #expect(code { try registry.storeManifest([1], id: id) } == .corrupt)
    }

    @Test func aNewerRegistryIsNotTouched() throws {
        _ = try open()
        do {
            let queue = try DatabaseQueue(path: path + "/petals.sqlite")
            try queue.write { try $0.execute(sql: "PRAGMA user_version = \(Registry.version + 1)") }
        }
        #expect(code { _ = try open() } == .unsupportedVersion)
    }

    @Test func aFileThatIsNoDatabaseIsSaidToBeDamaged() throws {
        _ = try StateFolder(opening: path)
        try [UInt8](repeating: 65, count: 8192).write(to: path + "/petals.sqlite")
        #expect(code { _ = try open() } == .corrupt)
        #expect(message { _ = try open() }.contains(path))
    }
}
