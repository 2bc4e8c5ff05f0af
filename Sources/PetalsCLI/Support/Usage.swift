internal import ArgumentParser
internal import PetalsCore

/// The rule of exit codes: 2 for what the command line alone shows to be wrong, whatever the
/// machine, the state folder and the peers are; 1 for what was understood and could not be done.
///
/// So a link that is cut off is 2, and a link that nobody answers for is 1. What a command was
/// given is read before anything is opened or made.
enum Usage {
    /// Reads what was given on the command line, or on standard input in its place.
    ///
    /// - Parameter option: what to name first, where the sentence does not say whose value it is.
    /// - Throws: `ValidationError` in the place of `PetalsError`, whose sentence it keeps.
    static func check<Value>(
        _ option: String? = nil, _ read: () throws -> Value
    ) throws -> Value {
        do {
            return try read()
        } catch let error as PetalsError {
            throw ValidationError((option.map { "\($0): " } ?? "") + error.message)
        }
    }

    /// A name that a person chose.
    static func check(name: String?) throws {
        guard let name else { return }
        try check { try ModelPath.check(component: name) }
    }

    /// What names a catalogue: of a title only the registry knows whether it is one.
    static func check(catalogue: String) throws {
        guard let kind = LinkKind(of: catalogue) else { return }
        // Before it is repeated in a sentence: the link of a model is a secret.
        guard kind == .catalogue else { throw ValidationError(kind.advice) }
        _ = try check { try CatalogueLink(parsing: catalogue) }
    }
}
