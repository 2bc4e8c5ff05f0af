import PetalsCore
import Testing

/// Names that a publisher may choose, and names that would hurt somebody.
@Suite struct ModelPathTests {
    @Test(
        arguments: [
            "a", "model.gguf", "a/b/c", "with space", "ünï/çødé", "模型.safetensors", "...", "..a",
            ".hidden", "a\\b", "-rf", "~", "a:b", "😀",
            String(repeating: "x", count: 255), String(repeating: "d/", count: 32) + "f",
        ])
    func goodPathsAreTaken(path: String) throws {
        let made = try ModelPath(path)
        #expect(made.description == path)
        #expect(made.components == path.split(separator: "/").map(String.init))
    }

    @Test(
        arguments: [
            "", "/", "/etc/passwd", "a/", "a//b", ".", "..", "a/..", "../a", "a/./b", "a\u{0}b",
            "\n",
            "a\rb", "a\r\nb", "\u{7F}", "\u{85}", "\u{2028}", "\u{2029}", "\u{1B}[31m",
            "a/\u{301}b/..", String(repeating: "x", count: 256), String(repeating: "é", count: 128),
            String(repeating: "d/", count: 33) + "f", String(repeating: "/", count: 5000),
        ])
    func hostilePathsAreRefused(path: String) {
        let error = #expect(throws: PetalsError.self) { try ModelPath(path) }
        // The sentence goes to a terminal: one line, no escapes, not as long as the name.
        let message = error?.message ?? ""
        #expect(!message.unicodeScalars.contains { $0.properties.generalCategory == .control })
        #expect(message.utf8.count < 2000)
    }

    /// A slash with a combining accent is one `Character`, and still a slash to every kernel.
    @Test func slashCannotHideUnderAnAccent() {
        #expect(throws: PetalsError.self) { try ModelPath.check(component: "a/\u{301}b") }
        #expect(throws: PetalsError.self) { try ModelPath("a/\u{301}b") }
    }

    @Test func spellingsOfOneNameAreEqual() throws {
        #expect(try ModelPath("caf\u{E9}/a") == ModelPath("cafe\u{301}/a"))
        #expect(try ModelPath("a") != ModelPath("A"))
    }

    @Test func printableNamesFitALine() {
        #expect(ModelPath.printable("a\u{1B}b\nc") == "a\u{FFFD}b\u{FFFD}c")
        #expect(ModelPath.printable(String(repeating: "x", count: 10_000)).count == 255)
    }
}
