/// What a person gives to `petalsfs add`: a link, or the SHA-256 of a public file.
package enum ModelReference: Hashable, Sendable {
    case link(ModelLink)
    /// The object id that model hubs show for every large file: `sha256:` and 64 digits.
    case file(sha256: Digest)

    private static let prefix = LinkKind.file.rawValue

    /// Whether a text is meant to be the SHA-256 of a file, well-formed or not.
    package static func namesFile(_ text: String) -> Bool {
        LinkKind(of: text) == .file
    }

    /// Reads a reference as a person pasted it; white space around it is no part of it.
    ///
    /// - Throws: `PetalsError.badInput` saying what is wrong.
    package init(parsing text: String) throws(PetalsError) {
        guard Self.namesFile(text) else {
            self = .link(try ModelLink(parsing: text))
            return
        }
        let digits = text.drop(while: \.isWhitespace).dropFirst(Self.prefix.count)
            .prefix { !$0.isWhitespace }
        let rest = text.drop(while: \.isWhitespace).dropFirst(Self.prefix.count + digits.count)
        guard rest.allSatisfy(\.isWhitespace), let sha256 = Digest(hex: digits) else {
            throw PetalsError(
                .badInput,
                "sha256: is followed by the \(2 * Digest.byteCount) hexadecimal digits of a file's "
                    + "SHA-256; these \(digits.count) characters are something else, copy it again")
        }
        self = .file(sha256: sha256)
    }
}
