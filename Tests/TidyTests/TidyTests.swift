//
// TidyTests: the rules of the house that no compiler checks.
//
// The compiler holds us to memory safety and strict concurrency, swift-format to layout. What is
// left are the habits that a reader relies on: rooms import in one direction, a C library is named
// in one place, files and functions stay short enough to be read at once, every `unsafe` says why
// it holds, every declaration that another room can see says what it does, and nothing in the
// project knows the machine it was written on.
//
// How it works: `SourceFile` cuts a Swift file into tokens and comments, well enough to see braces,
// strings and interpolations for what they are. Each rule is a detector, a function from a file to
// its `Finding`s. This file runs the detectors over the project; `DetectorTests` plants a violation
// for each and wants it found, and something close to it that is right and wants it left alone.
//

import Testing

/// The rules, run over the whole project.
@Suite struct TidyTests {
    let repository: Repository

    init() throws {
        repository = try Repository()
    }

    /// The detectors would be silent about a project that they do not see.
    @Test func theProjectIsSeen() {
        #expect(repository.rooms.count >= 7)
        #expect(repository.swiftFiles.contains { $0.path == "Sources/PetalsCore/Geometry.swift" })
        #expect(repository.swiftFiles.contains { $0.path == "Tests/TidyTests/TidyTests.swift" })
        #expect(repository.texts.contains { $0.path == "scripts/protobuf" })
    }

    @Test func roomsImportInOneDirection() {
        expectNone(repository.sources.flatMap(Imports.findings))
    }

    @Test func filesAreShort() {
        expectNone(repository.writtenFiles.flatMap(Lengths.fileFindings))
    }

    @Test func functionsAreShort() {
        expectNone(repository.writtenFiles.flatMap(Lengths.functionFindings))
    }

    @Test func linesAreNarrow() {
        expectNone(repository.writtenFiles.flatMap(Lengths.columnFindings))
    }

    @Test func everyUnsafeSaysWhyItHolds() {
        expectNone(repository.writtenFiles.flatMap(Comments.safetyFindings))
    }

    @Test func everyUncheckedSendableSaysWhatProtectsIt() {
        expectNone(repository.writtenFiles.flatMap(Comments.sendableFindings))
    }

    @Test func everyDoorIsDocumented() {
        expectNone(repository.writtenSources.flatMap(Comments.documentationFindings))
    }

    @Test func everyRoomHasItsEssay() {
        for room in repository.rooms {
            expectNone(Comments.essayFindings(room: room, files: repository.files(ofRoom: room)))
        }
    }

    @Test func sourcesDoNotTrapOrPromise() {
        expectNone(repository.writtenSources.flatMap(Words.trapFindings))
        expectNone(repository.writtenSources.flatMap(Words.promiseFindings))
    }

    @Test func nothingKnowsItsMachine() {
        expectNone(repository.texts.flatMap(Words.machineFindings))
    }

    @Test func scriptsStopAtTheFirstFailure() {
        expectNone(repository.texts.flatMap(Words.scriptFindings))
    }

    private func expectNone(
        _ findings: [Finding], sourceLocation: SourceLocation = #_sourceLocation
    ) {
        for finding in findings {
            Issue.record("\(finding)", sourceLocation: sourceLocation)
        }
    }
}
