import Foundation
import Glibc
import PetalsCore
import PetalsTesting
import Synchronization
import Testing

@testable import PetalsStore

/// The state folder: who may use it, who may read it, and what a broken one says.
///
/// Each test makes a folder, does to it what time and people do, and reads the sentence.
@Suite struct StateFolderTests {
    let temporary: TemporaryFolder
    var path: String { temporary.path + "/a/state" }

    init() throws {
        temporary = try TemporaryFolder()
    }

    @Test func aNewFolderIsForItsOwnerOnly() throws {
        let folder = try StateFolder(opening: path)
        _ = try folder.identitySeed()
        try folder.replaceFile("listen", with: Array("127.0.0.1:1\n".utf8))
        #expect(try mode(path) == 0o700)
        for name in ["VERSION", "lock", "identity.key", "listen"] {
            #expect(try mode(path + "/" + name) == 0o600, "\(name)")
        }
        for name in ["blobs", "manifests"] { #expect(try mode(path + "/" + name) == 0o700) }
        let version = try String(contentsOfFile: path + "/VERSION", encoding: .utf8)
        #expect(version == "petalsfs state 1\n")
    }

    @Test func aSecondHolderIsToldWhoIsTheFirst() throws {
        do {
            let folder = try StateFolder(opening: path)
            #expect(try StateFolder.holder(of: path) == Int(getpid()))
            #expect(code { _ = try StateFolder(opening: path) } == .busy)
            let sentence = message { _ = try StateFolder(opening: path) }
            #expect(sentence.contains("process \(getpid())") && sentence.contains(folder.path))
            #expect(sentence.contains("--state"))
        }
        #expect(try StateFolder.holder(of: path) == nil)
        _ = try StateFolder(opening: path)
    }

    @Test func nobodyHoldsAFolderThatIsNotThere() throws {
        #expect(try StateFolder.holder(of: path) == nil)
    }

    /// A file where the folder should be, or above it: told as such, and left as it is.
    @Test(arguments: ["", "/below", "/far/below"]) func aFileIsNoFolder(tail: String) throws {
        let file = temporary.path + "/file"
        try [1, 2, 3].write(to: file)
        let before = try mode(file)
        for attempt in [
            { _ = try StateFolder(opening: file + tail) },
            { _ = try StateFolder.exists(at: file + tail) },
        ] {
            let sentence = message(attempt)
            #expect(sentence.contains("is a file; name a folder with --state"), "\(sentence)")
            #expect(!sentence.contains("check the disk"))
        }
        #expect(try mode(file) == before)
    }

    /// To ask whether there is a state folder makes none.
    @Test func askingMakesNothing() throws {
        #expect(try !StateFolder.exists(at: path))
        #expect(try !StateFolder.exists(at: temporary.path))
        #expect(!FileManager.default.fileExists(atPath: path))
        _ = try StateFolder(opening: path)
        #expect(try StateFolder.exists(at: path))
    }

    @Test(arguments: [
        ("petalsfs state 2\n", PetalsError.Code.unsupportedVersion),
        ("petalsfs state 999999\n", .unsupportedVersion), ("petalsfs state 0\n", .corrupt),
        ("petalsfs state -1\n", .corrupt), ("petalsfs state 1", .corrupt), ("", .corrupt),
        ("\u{0}\u{1}", .corrupt), ("petalsfs state 99999999999999999999999\n", .corrupt),
    ])
    func aVersionThatIsNotOurs(text: String, expected: PetalsError.Code) throws {
        _ = try StateFolder(opening: path)
        try Array(text.utf8).write(to: path + "/VERSION")
        #expect(code { _ = try StateFolder(opening: path) } == expected)
        #expect(message { _ = try StateFolder(opening: path) }.contains(path))
    }

    @Test func theIdentityIsMadeOnce() throws {
        var folder: StateFolder? = try StateFolder(opening: path)
        let seed = try folder?.identitySeed()
        #expect(seed?.count == 32)
        #expect(try folder?.identitySeed() == seed)
        folder = nil
        #expect(try StateFolder(opening: path).identitySeed() == seed)
        #expect(try StateFolder(opening: temporary.path + "/b").identitySeed() != seed)
    }

    @Test(arguments: [0, 31, 33, 64]) func aKeyOfAnotherLengthIsCorrupt(length: Int) throws {
        let folder = try StateFolder(opening: path)
        try [UInt8](repeating: 7, count: length).write(to: path + "/identity.key")
        #expect(code { _ = try folder.identitySeed() } == .corrupt)
    }

    @Test func aLinkInPlaceOfTheLockIsNotFollowed() throws {
        _ = try StateFolder(opening: path)
        try FileManager.default.removeItem(atPath: path + "/lock")
        try FileManager.default.createSymbolicLink(
            atPath: path + "/lock", withDestinationPath: "/dev/null")
        #expect(code { _ = try StateFolder(opening: path) } == .system)
    }

    /// A full disk at each of the operations that opening and making the identity take.
    @Test func aFullDiskIsNamed() throws {
        var failures = 0
        for failing in 0..<40 {
            let plan = FaultPlan()
            let place = temporary.path + "/full-\(failing)"
            plan.set { operation, _, _ in
                let number = plan.state.withLock { $0.operations - 1 }
                guard number == failing else { return nil }
                return operation == .write ? .torn(5, ENOSPC) : .fail(ENOSPC)
            }
            func use() throws {
                _ = try StateFolder(opening: place, faults: plan.faults).identitySeed()
            }
            if let found = code(use) {
                #expect(found == .noSpace)
                failures += 1
                plan.set(nil)
                #expect(message { try use() } == "", "after space was made, it works")
            } else {
                break
            }
            // What was made up to then is no half file: it opens now.
            #expect(try StateFolder(opening: place).identitySeed().count == 32)
        }
        #expect(failures > 8 && failures < 40)
    }

    @Test func shortWritesAreFinished() throws {
        let faults = DiskFaults { operation, _, _ in operation == .write ? .short(3) : nil }
        let folder = try StateFolder(opening: path, faults: faults)
        let seed = try folder.identitySeed()
        #expect(try Array(Data(contentsOf: URL(fileURLWithPath: path + "/identity.key"))) == seed)
    }
}
