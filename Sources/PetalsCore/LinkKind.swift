/// What a text that a person pasted is, by its first letters.
///
/// So whoever gives a link to the wrong command hears which one takes it.
package enum LinkKind: String, CaseIterable, Sendable {
    case model = "petals:r1:"
    case relayCap = "petals:v1:"
    case catalogue = "petals:c1:"
    case delegation = "petals:d1:"
    case file = "sha256:"

    /// The kind of a text; nil where it begins like none.
    package init?(of text: some StringProtocol) {
        let start = text.drop(while: \.isWhitespace)
        guard let kind = Self.allCases.first(where: { start.hasPrefix($0.rawValue) }) else {
            return nil
        }
        self = kind
    }

    /// What it is, and the command that takes it.
    package var advice: String {
        switch self {
        case .model: "this is the link of a model, which `petalsfs add` takes"
        case .relayCap: "this is a relay cap, which `petalsfs hold` takes"
        case .catalogue: "this is the link of a catalogue, which `petalsfs catalog follow` takes"
        case .delegation: "this is a delegation, which `petalsfs catalog adopt` takes"
        case .file: "this is the SHA-256 of a file, which `petalsfs add` takes"
        }
    }

    /// The sentence for a text that is none of what is wanted.
    ///
    /// - Parameter wanted: what is said of a text that is nothing at all.
    static func refusal(of text: String, wanted: String) -> PetalsError {
        guard let kind = LinkKind(of: text) else { return PetalsError(.badInput, wanted) }
        return PetalsError(.badInput, kind.advice)
    }
}
