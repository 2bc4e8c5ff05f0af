/// The path of a file inside a model, or a model's own name (one component).
///
/// Components are 1 to 255 bytes of UTF-8 without `/`, NUL and control characters, and neither `.`
/// nor `..`. Swift compares strings by canonical equivalence (Unicode's NFC and NFD are equal), so
/// a `Set` of paths finds the duplicates that some file systems could not tell apart.
package struct ModelPath: Hashable, Sendable, CustomStringConvertible {
    package let components: [String]

    /// Checks a path that may come from outside.
    ///
    /// - Throws: `PetalsError.badInput` saying what is wrong with it.
    package init(_ path: String) throws(PetalsError) {
        let parts = path.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count <= Limits.depthMax + 1 else {
            throw PetalsError(
                .badInput,
                "the path “\(Self.printable(path))” is more than \(Limits.depthMax) folders deep")
        }
        for part in parts {
            try Self.check(component: String(part))
        }
        components = parts.map(String.init)
    }

    /// Throws unless `component` can be the name of a file or a model.
    package static func check(component: String) throws(PetalsError) {
        let bytes = component.utf8
        let reason: String
        if bytes.isEmpty {
            reason = "is empty"
        } else if bytes.count > Limits.nameBytesMax {
            reason = "is longer than \(Limits.nameBytesMax) bytes"
        } else if component == "." || component == ".." {
            reason = "is a reserved name"
        } else if component.unicodeScalars.contains(where: Self.isForbidden) {
            reason = "contains a slash or a control character"
        } else {
            return
        }
        throw PetalsError(
            .badInput, "the name “\(printable(component))” \(reason); rename it and try again")
    }

    /// Whether a text is fit for one line of a terminal as it is.
    package static func isPrintable(_ text: String) -> Bool {
        !text.unicodeScalars.contains { isForbidden($0) && $0 != "/" }
    }

    private static func isForbidden(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.properties.generalCategory {
        case .control, .lineSeparator, .paragraphSeparator: true
        default: scalar == "/"
        }
    }

    /// A hostile name made fit for one line of a terminal.
    package static func printable(_ text: String) -> String {
        String(
            String.UnicodeScalarView(
                text.unicodeScalars.prefix(Limits.nameBytesMax).map {
                    isForbidden($0) && $0 != "/" ? "\u{FFFD}" : $0
                }))
    }

    package var description: String { components.joined(separator: "/") }
}
