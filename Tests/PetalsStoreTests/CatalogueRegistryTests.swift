import Foundation
import GRDB
import PetalsCodec
import PetalsCore
import PetalsTesting
import Testing

@testable import PetalsStore

/// What the registry keeps of catalogues, over restarts and against stale news.
@Suite struct CatalogueRegistryTests {
    private let folder: TemporaryFolder
    private let log = LogBook()

    init() throws { folder = try TemporaryFolder() }

    private func open() throws -> Registry {
        try Registry(
            folder: StateFolder(opening: folder.path + "/state"), logger: log.logger)
    }

    private func code(_ body: () throws -> Void) -> PetalsError.Code? {
        do {
            try body()
            return nil
        } catch {
            return (error as? PetalsError)?.code
        }
    }

    private func row(_ sample: SampleCatalogue, at time: Int = 1) -> CatalogueRow {
        CatalogueRow(
            id: sample.id, isFollowed: true, name: "hint", peers: ["a:1", "b:2"], addedAt: time)
    }

    @Test func aFollowedCatalogueIsThereAfterARestart() throws {
        var sample = try SampleCatalogue()
        try sample.add(.entry(SampleCatalogue.entry("x")))
        do {
            let registry = try open()
            try registry.keep(row(sample))
            #expect(try registry.catalogueLog(of: sample.id) == nil)
            #expect(try registry.catalogueModels().isEmpty)
            #expect(try registry.accept(try sample.checkedHead(), log: sample.log, heardAt: 5))
            try registry.noteHeard(sample.id, at: 9)
        }
        let registry = try open()
        let row = try #require(try registry.catalogue(sample.id))
        #expect(row.isFollowed && !row.isOwn && row.name == "hint" && row.peers == ["a:1", "b:2"])
        #expect(try row.head == sample.checkedHead() && row.heardAt == 9)
        #expect(try registry.catalogueLog(of: sample.id) == sample.log)
        let models = try registry.catalogueModels()
        #expect(models.map(\.entry) == sample.log.entries && models.map(\.title) == ["Models"])
        // To follow again changes what was said, and not what is known.
        try registry.keep(CatalogueRow(id: sample.id, isOwn: true, name: "n", addedAt: 7))
        let changed = try #require(try registry.catalogue(sample.id))
        #expect(changed.isOwn && !changed.isFollowed && changed.addedAt == 1)
        #expect(try changed.head == sample.checkedHead())
        #expect(try registry.catalogueModels().isEmpty)
        try registry.removeCatalogue(sample.id)
        #expect(try registry.catalogues().isEmpty)
        #expect(try registry.catalogueLog(of: sample.id) == nil)
    }

    /// The highest head survives a restart, whatever comes after it.
    @Test func aLowerHeadIsNeverAccepted() throws {
        var samples = [try SampleCatalogue()]
        for number in 1...3 {
            var next = samples[number - 1]
            try next.add(.entry(SampleCatalogue.entry("\(number)")))
            samples.append(next)
        }
        var known = 1
        try open().keep(row(samples[0]))
        for (number, expected) in [(1, true), (1, false), (0, false), (3, true), (2, false)] {
            // A new registry each time.
            let registry = try open()
            let sample = samples[number]
            #expect(
                try registry.accept(try sample.checkedHead(), log: sample.log, heardAt: number)
                    == expected)
            known = expected ? number : known
            #expect(try registry.catalogue(sample.id)?.head == samples[known].checkedHead())
            #expect(try registry.catalogueLog(of: sample.id) == samples[known].log)
        }
        let registry = try open()
        let stranger = try SampleCatalogue(seed: 9)
        #expect(
            try !registry.accept(try stranger.checkedHead(), log: stranger.log, heardAt: 1))
    }

    @Test func evidenceIsKept() throws {
        let registry = try open()
        var (one, other) = (try SampleCatalogue(), try SampleCatalogue())
        try one.add(.title("one"))
        try registry.keep(row(one))
        for number in 0..<10 {
            other = try SampleCatalogue()
            try other.add(.title("other \(number)"))
            let isNew = try registry.keepEvidence(
                known: one.head(), offered: other.head(), log: nil, seenAt: number)
            #expect(isNew == (number < Registry.evidenceMax))
            #expect(
                try !registry.keepEvidence(
                    known: one.head(), offered: other.head(), log: nil, seenAt: 99))
        }
        let evidence = try registry.evidence(against: one.id)
        #expect(evidence.count == Registry.evidenceMax && evidence.first?.seenAt == 0)
        #expect(evidence.allSatisfy { $0.known == one.head() && $0.offered != $0.known })
        let stranger = try SampleCatalogue(seed: 9)
        #expect(
            try !registry.keepEvidence(
                known: stranger.head(), offered: stranger.head(), log: nil, seenAt: 1))
        try registry.removeCatalogue(one.id)
        #expect(try registry.evidence(against: one.id).isEmpty)
    }

    @Test func aDamagedHeadIsForgottenAndTakenAgain() throws {
        let registry = try open()
        let sample = try SampleCatalogue()
        try registry.keep(row(sample))
        #expect(try registry.accept(try sample.checkedHead(), log: sample.log, heardAt: 1))
        var bytes = sample.head().serialized()
        bytes[40] ^= 1
        try registry.write { database in
            try database.execute(
                sql: "UPDATE catalogues SET head = ?", arguments: [Data(bytes)])
        }
        #expect(try registry.catalogue(sample.id)?.head == nil)
        #expect(log.all.contains { $0.contains("“hint” is damaged in the registry") })
        #expect(try registry.accept(try sample.checkedHead(), log: sample.log, heardAt: 2))
        #expect(try registry.catalogue(sample.id)?.head == sample.checkedHead())
    }

    /// An entry is listed by one catalogue after the other, with what holding it takes.
    @Test func donorsSeeTheModelsOfAllFollowedCatalogues() throws {
        let registry = try open()
        let relay = try #require(SecretKey(Array(repeating: 7, count: 32)))
        for (seed, time) in [(UInt8(2), 1), (1, 2), (3, 3)] {
            var sample = try SampleCatalogue(seed: seed, title: "T\(seed)")
            var entry = try SampleCatalogue.entry("m\(seed)")
            if seed == 1 { entry.capability = .relay(relay) }
            try sample.add(.entry(entry))
            var row = row(sample, at: time)
            row.isFollowed = seed != 3
            row.isOwn = seed == 3
            try registry.keep(row)
            #expect(try registry.accept(try sample.checkedHead(), log: sample.log, heardAt: 1))
        }
        let models = try registry.catalogueModels()
        #expect(models.map(\.title) == ["T2", "T1"])
        #expect(models[1].relayKey == relay)
        #expect(models[1].relayCap.text.hasPrefix("petals:v1:"))
        guard case .read(let key) = models[0].entry.capability else {
            throw PetalsError(.corrupt, "the entry can be read")
        }
        #expect(models[0].relayKey == KeyDerivation.relayKey(of: key))
    }

    @Test func aNodeHasSoManyCatalogues() throws {
        let registry = try open()
        for seed in 1...Limits.cataloguesMax {
            try registry.keep(row(SampleCatalogue(seed: UInt8(seed))))
        }
        let more = try SampleCatalogue(seed: 200)
        #expect(code { try registry.keep(row(more)) } == .limitExceeded)
        try registry.keep(row(SampleCatalogue(seed: 1)))
    }

    // MARK: Models of catalogues

    /// A listed model takes no name from the user's own, and gives way to them.
    @Test func listedModelsMakeRoom() throws {
        let registry = try open()
        let (a, b) = (try TestBlob(seed: 1, size: 70_000), try TestBlob(seed: 2, size: 70_000))
        let owner = try SampleCatalogue().id
        try registry.addListed(a.model("x"), blobs: [a.row], of: owner)
        #expect(try registry.listedModels() == ["x": owner])
        #expect(try registry.models() == [a.model("x")])
        try registry.requireFree("x")
        try registry.add(b.model("x"), blobs: [b.row])
        #expect(try registry.models() == [b.model("x")])
        #expect(try registry.listedModels().isEmpty)
        #expect(code { try registry.requireFree("x") } == .badInput)
        #expect(
            code { try registry.addListed(a.model("x"), blobs: [a.row], of: owner) } == .badInput)
        // What is open of the retired one is still known, until the next start.
        #expect(try Set(registry.blobs().map(\.blobID)) == [a.id, b.id])
        try registry.addListed(a.model("y"), blobs: [a.row], of: owner)
        try registry.retire(["y", "x", "nothing"])
        #expect(try registry.models() == [b.model("x")])
        #expect(try registry.removeRetired() == [a.id])
        #expect(try registry.blobs() == [b.row])
        #expect(try registry.removeRetired().isEmpty)
    }

    @Test func aListedModelBecomesTheUsersOwn() throws {
        let registry = try open()
        let blob = try TestBlob(size: 70_000)
        let owner = try SampleCatalogue().id
        try registry.addListed(blob.model("x"), blobs: [blob.row], of: owner)
        try registry.makeOwn(["x", "nothing"])
        #expect(try registry.listedModels().isEmpty)
        try registry.retire(["x"])
        #expect(try registry.models() == [blob.model("x")])
        #expect(code { try registry.add(blob.model("x")) } == .badInput)
        // Forgetting it forgets the mark.
        try registry.addListed(blob.model("z"), blobs: [blob.row], of: owner)
        _ = try registry.removeModel("z")
        #expect(try registry.listedModels().isEmpty)
    }
}
