import Foundation
import GRDB
import PetalsCore
import PetalsTesting
import Testing

@testable import PetalsStore

/// Which models are donated to only because a catalogue lists them, and which of those nobody lists
/// any more.
@Suite struct DonatedModelTests {
    private let folder: TemporaryFolder
    private let registry: Registry
    private let entry: CatalogueEntry

    init() throws {
        folder = try TemporaryFolder()
        registry = try Registry(
            folder: StateFolder(opening: folder.path + "/state"), logger: LogBook().logger)
        entry = try SampleCatalogue.entry("m")
    }

    private func model(_ name: String, origin: ModelRow.Origin = .held) throws -> ModelRow {
        let relay = try #require(SecretKey(Array(repeating: 7, count: 32)))
        return ModelRow(
            name: name, manifestID: entry.manifestID, capability: .relay(relay), origin: origin,
            addedAt: 1, shards: origin == .held ? [] : nil)
    }

    /// Follows a catalogue that lists the model.
    private func follow(_ seed: UInt8) throws -> CatalogueID {
        var sample = try SampleCatalogue(seed: seed)
        try sample.add(.entry(entry))
        try registry.keep(CatalogueRow(id: sample.id, isFollowed: true, name: "n", addedAt: 1))
        #expect(try registry.accept(try sample.checkedHead(), log: sample.log, heardAt: 5))
        return sample.id
    }

    @Test func whatIsListedSomewhereStays() throws {
        let (one, two) = (try follow(1), try follow(2))
        try registry.addDonated(try model("d"))
        #expect(try registry.unlistedDonations().isEmpty)
        try registry.removeCatalogue(one)
        #expect(try registry.unlistedDonations().isEmpty)
        try registry.removeCatalogue(two)
        #expect(try registry.unlistedDonations() == ["d"])
        _ = try registry.removeModel("d")
        #expect(try registry.unlistedDonations().isEmpty, "the mark goes with the model")
    }

    /// A catalogue that this node signs and does not follow any more lists nothing here.
    @Test func anOwnCatalogueThatIsNotFollowedDoesNotCount() throws {
        var row = try #require(try registry.catalogue(try follow(1)))
        try registry.addDonated(try model("d"))
        row.isOwn = true
        row.isFollowed = false
        try registry.keep(row)
        #expect(try registry.unlistedDonations() == ["d"])
    }

    @Test func whatAPersonWantsStays() throws {
        try registry.add(try model("named"))
        #expect(try registry.unlistedDonations().isEmpty, "without a mark it was named")
        _ = try registry.removeModel("named")
        try registry.addDonated(try model("d"))
        #expect(try registry.unlistedDonations() == ["d"])
        try registry.add(try model("own", origin: .added))
        #expect(try registry.unlistedDonations().isEmpty, "the user added it")
        _ = try registry.removeModel("own")
        // One that another catalogue's list brought, and that somebody opened, is not the user's.
        try registry.addListed(
            try model("listed", origin: .added), blobs: [], of: try SampleCatalogue(seed: 9).id)
        #expect(try registry.unlistedDonations() == ["d"])
        try registry.keepDonated(entry.manifestID)
        #expect(try registry.unlistedDonations().isEmpty, "the user named it")
    }

    /// Nothing is given up while it cannot be known what is listed.
    @Test func aDamagedCatalogueKeepsAll() throws {
        try registry.addDonated(try model("d"))
        let other = try SampleCatalogue(seed: 3)
        try registry.keep(CatalogueRow(id: other.id, isFollowed: true, name: "n", addedAt: 1))
        #expect(try registry.unlistedDonations() == ["d"], "nothing of it has ever come")
        #expect(try registry.accept(try other.checkedHead(), log: other.log, heardAt: 5))
        #expect(try registry.unlistedDonations() == ["d"])
        var bytes = other.head().serialized()
        bytes[40] ^= 1
        try registry.write { database in
            try database.execute(
                sql: "UPDATE catalogues SET head = ?", arguments: [Data(bytes)])
        }
        #expect(try registry.unlistedDonations().isEmpty)
    }
}
