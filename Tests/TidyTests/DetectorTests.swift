import Testing

/// A detector that never fires is worth nothing: each one is given a planted violation that it has
/// to find, and its innocent neighbour that it has to leave alone.
@Suite struct DetectorTests {
    private func source(_ text: String, _ path: String = "Sources/PetalsCodec/X.swift")
        -> SourceFile
    {
        SourceFile(path: path, text: text)
    }

    // MARK: The scanner

    @Test func scannerSeesStringsAndComments() {
        let file = source(
            ##"""
            let a = "one { unsafe // no comment" // a comment
            let b = "x \(f("}" + y!)) { z" /* c /* d */ { */ + c
            let d = #"raw " \( { \#(e) "#
            """##)
        let words = file.tokens.map { $0.text }.filter { $0 != "\"" }.joined(separator: " ")
        #expect(
            words == "let a = let b = ( f ( + y ! ) ) + c let d = # ( e ) #")
        #expect(file.comments == ["// a comment", "/* c /* d */ { */", ""])
    }

    @Test func scannerSeesMultilineStrings() {
        let file = source("let a = \"\"\"\n  fatalError \"quoted\" {\n  \"\"\"\nfatalError()\n")
        #expect(Words.trapFindings(file).map(\.line) == [4])
    }

    // MARK: Imports

    @Test(
        arguments: [
            ("Sources/PetalsCore/X.swift", "internal import PetalsCodec"),
            ("Sources/PetalsCore/X.swift", "import Glibc"),
            ("Sources/PetalsCodec/X.swift", "package import PetalsStore"),
            ("Sources/PetalsStore/X.swift", "import struct ShardFetch.Peer"),
            ("Sources/PetalsStore/X.swift", "internal import CSodium"),
            ("Sources/ShardFetch/X.swift", "internal import PetalsFS"),
            ("Sources/ShardFetch/Discovery/X.swift", "internal import CRendezvous"),
            ("Sources/PetalsCLI/X.swift", "internal import CRendezvous"),
            ("Sources/PetalsFS/Read/X.swift", "internal import CFuse3"),
            ("Sources/PetalsFS/X.swift", "internal import NIOCore"),
            ("Sources/PetalsCLI/X.swift", "internal import NIOCore"),
            ("Sources/PetalsCLI/X.swift", "internal import CFuse3"),
            ("Sources/PetalsFS/X.swift", "internal import PetalsTesting"),
            ("Sources/PetalsBench/X.swift", "internal import PetalsCLI"),
            ("Sources/PetalsBench/X.swift", "internal import CISAL"),
            ("Sources/NewRoom/X.swift", "internal import Foundation"),
        ])
    func wrongImportIsFound(path: String, text: String) {
        #expect(Imports.findings(source(text, path)).count == 1)
    }

    @Test(
        arguments: [
            ("Sources/PetalsCore/X.swift", "internal import SwiftProtobuf"),
            ("Sources/PetalsCodec/X.swift", "package import PetalsCore // import PetalsStore"),
            ("Sources/ShardFetch/Peer/X.swift", "internal import NIOSSL\nimport Synchronization"),
            ("Sources/PetalsFS/Fuse/X.swift", "internal import CFuse3"),
            ("Sources/PetalsBench/X.swift", "internal import NIOCore\nimport PetalsTesting"),
            (
                "Sources/ShardFetch/Discovery/RendezvousSession.swift",
                "internal import CRendezvous"
            ),
            ("Tests/PetalsCoreTests/X.swift", "@testable import PetalsCLI"),
        ])
    func rightImportIsLeftAlone(path: String, text: String) {
        #expect(Imports.findings(source(text, path)).isEmpty)
    }

    // MARK: Lengths

    @Test func lengthsAreCounted() {
        let lines = { (count: Int) in String(repeating: "x()\n", count: count) }
        #expect(Lengths.fileFindings(source(lines(401))).count == 1)
        #expect(Lengths.fileFindings(source(lines(400))).isEmpty)
        #expect(Lengths.columnFindings(source(String(repeating: "x", count: 101))).count == 1)
        #expect(Lengths.columnFindings(source(String(repeating: "“", count: 100))).isEmpty)
        for opening in [
            "func f<T>(a: [Int] = [], b: () -> Void = {})\nwhere T: P {\n", "init?(a: Int) {\n\n",
            "var x: Int {\n\n", "subscript(i: Int) -> Int {\n\n", "deinit {\n\n",
        ] {
            #expect(Lengths.functionFindings(source(opening + lines(58) + "}")).count == 1)
            #expect(Lengths.functionFindings(source(opening + lines(57) + "}")).isEmpty)
        }
    }

    @Test func whatHasNoBodyIsNoFunction() {
        let file = source(
            """
            protocol P {
                func f() throws
                init(a: Int)
                var x: Int { get }
            }
            let a = T.init(b: 1)
            struct S {
                var y = [1].map { $0 }
                func g() { "}" }
            }
            """)
        #expect(file.functions.map(\.name) == ["x", "g"])
    }

    // MARK: Comments

    @Test(
        arguments: [
            "let a = unsafe p.pointee",
            "// SAFETY: far away.\n\n\n\n\n\n\nlet a = unsafe p.pointee",
            "nonisolated(unsafe) var a = 1",
            "// SAFETY: of another function.\nfunc f() {}\n\n\n\n\n\n\nfunc g() {\n  unsafe h()\n}",
        ])
    func unexplainedUnsafeIsFound(text: String) {
        #expect(Comments.safetyFindings(source(text)).count == 1)
    }

    @Test(
        arguments: [
            "// SAFETY: p is alive here.\nlet a = unsafe p.pointee",
            "// SAFETY: p is alive here,\n// since\n// q\n// is\n// alive\n// and\n// own\n// it.\n"
                + "let a = unsafe p.pointee",
            "/// Does it.\n// SAFETY: all of this is alive.\n@inlinable\nfunc f() {\n"
                + String(repeating: "  x()\n", count: 20) + "  unsafe g()\n}",
            "// SAFETY: p is alive inside.\nunsafe p.with {\n"
                + String(repeating: "  x()\n", count: 9)
                + "  unsafe g()\n}",
            "func f() {\n  // SAFETY: all of it is alive.\n"
                + String(repeating: "  x()\n", count: 9)
                + "  unsafe g()\n}",
            "let a = \"unsafe\" // unsafe", "@unsafe func f() {}",
        ])
    func explainedUnsafeIsLeftAlone(text: String) {
        #expect(Comments.safetyFindings(source(text)).isEmpty)
    }

    @Test func uncheckedSendableNeedsItsReason() {
        let bare = "final class A: @unchecked Sendable {\n}"
        #expect(Comments.sendableFindings(source(bare)).count == 1)
        #expect(
            Comments.sendableFindings(
                source("final class A: @unchecked Sendable {\n    // Sendable: the lock.\n}")
            ).isEmpty)
    }

    @Test(
        arguments: [
            "package static let a = 1", "package var a: Int { 1 }", "package struct S {}",
            "@inlinable\npackage static func f() {}",
            "package init(a: Int) {\n  self.a = a\n  f()\n}",
            "// Not a documentation comment.\npackage final class C {}",
            "/// Of a.\npackage func a() {}\npackage func b() {}",
        ])
    func undocumentedDoorIsFound(text: String) {
        #expect(Comments.documentationFindings(source(text)).count == 1)
    }

    @Test(
        arguments: [
            "/// One.\npackage let a = 1", "/// Does.\n@inlinable\npackage static func f() {}",
            "package import PetalsCore", "let package = Package(name: \"p\")", "func f() {}",
            "package var description: String { \"\" }",
            "package static func < (a: Self, b: Self) -> Bool { true }",
            "package let a: Int\npublic private(set) var b = 1",
            "package init(a: Int) {\n  self.a = a\n  b = 1\n}",
            "package func hash(into hasher: inout Hasher) {}", "f(package: 1)",
        ])
    func documentedDoorIsLeftAlone(text: String) {
        #expect(Comments.documentationFindings(source(text)).isEmpty)
    }

    @Test func missingEssayIsFound() {
        let code = source("let a = 1 + 2 + 3", "Sources/Room/Code.swift")
        let short = source("//\n// Room.\n//\n", "Sources/Room/Room.swift")
        let long = source(
            String(repeating: "// Room.\n", count: 10), "Sources/Room/Room.swift")
        #expect(Comments.essayFindings(room: "Room", files: [code]).count == 1)
        #expect(Comments.essayFindings(room: "Room", files: [code, short]).count == 1)
        #expect(Comments.essayFindings(room: "Room", files: [code, long]).isEmpty)
        #expect(Comments.essayFindings(room: "Room", files: [short]).isEmpty)
    }

    // MARK: Words

    @Test(
        arguments: [
            "let a = b!", "let a = b()!.c", "let a = b[0]!", "try! f()", "a as! B", "var a: Int!",
            "fatalError()", "let a = \"\\(b!)\"",
        ])
    func trapIsFound(text: String) {
        #expect(Words.trapFindings(source(text)).count == 1)
    }

    @Test(
        arguments: [
            "if !a { }", "a != b", "(!a)", "a && !b", "[!a]", "\"Stop!\"", "// No!",
            "#if !os(Linux)",
            "precondition(a)",
        ])
    func noTrapIsLeftAlone(text: String) {
        #expect(Words.trapFindings(source(text)).isEmpty)
    }

    @Test func promiseIsFound() {
        #expect(Words.promiseFindings(source("// TO" + "DO: later")).count == 1)
        #expect(Words.promiseFindings(source("f() // FIX" + "ME")).count == 1)
        #expect(Words.promiseFindings(source("let a = \"TODO\"")).isEmpty)
    }

    @Test func machineIsFound() {
        func findings(_ text: String) -> [Finding] {
            Words.machineFindings(TextFile(path: "docs/X.md", text: text))
        }
        let slash = "/"
        #expect(findings("cd \(slash)work/main").count == 1)
        #expect(findings("`\(slash)home/someone/x`").count == 1)
        #expect(findings("models\(slash)work/x, $HOME\(slash)home/x").isEmpty)
        #expect(findings("net\(slash)work/x").isEmpty)
        #expect(findings("https:\(slash)/mirror.internal:8080/simple").count == 1)
        #expect(findings("https:\(slash)/www.swift.org/install").isEmpty)
        #expect(findings("unix:\(slash)/socket").isEmpty)
    }

    @Test func looseScriptIsFound() {
        func findings(_ text: String) -> [Finding] {
            Words.scriptFindings(TextFile(path: "scripts/x", text: text))
        }
        #expect(findings("#!/usr/bin/env bash\necho").count == 1)
        #expect(findings("#!/usr/bin/env bash\nset -euo pipefail\necho").isEmpty)
        #expect(findings("#!/usr/bin/env python3\n").isEmpty)
    }
}
