internal import Foundation
internal import GRDB
package import PetalsCore

/// Models that are donated to for no other reason than that a followed catalogue lists them.
///
/// The mark goes when a person names the model; without it, a model is donated to until it is
/// removed.
extension Registry {
    /// Registers a model to donate to that a catalogue lists.
    ///
    /// - Throws: `.badInput` when the name is taken.
    package func addDonated(_ model: ModelRow) throws(PetalsError) {
        try write { database in
            try Self.insert(model, database)
            try database.execute(
                sql: "INSERT INTO donated_models (name) VALUES (?)", arguments: [model.name])
        }
    }

    /// Takes the mark from the model of a manifest: a person wants it.
    package func keepDonated(_ manifestID: ManifestID) throws(PetalsError) {
        try write { database in
            try database.execute(
                sql: """
                    DELETE FROM donated_models WHERE name IN
                    (SELECT name FROM models WHERE manifest_id = ?)
                    """, arguments: [Data(manifestID.bytes)])
        }
    }

    /// The marked models that no followed catalogue lists any more and that are registered in no
    /// other way.
    ///
    /// There are none while a catalogue that is followed cannot be read: what it lists is not
    /// known.
    package func unlistedDonations() throws(PetalsError) -> [String] {
        let known = try catalogues().filter { $0.isFollowed && $0.heardAt != nil }
        for row in known where row.head == nil { return [] }
        let listed = Set(try catalogueModels().map(\.entry.manifestID))
        let listings = try listedModels()
        let marked = try read { try String.fetchSet($0, sql: "SELECT name FROM donated_models") }
        let models = try models()
        let others = models.filter { !marked.contains($0.name) && listings[$0.name] == nil }
        let wanted = listed.union(others.map(\.manifestID))
        return models.filter { marked.contains($0.name) && !wanted.contains($0.manifestID) }
            .map(\.name)
    }
}
