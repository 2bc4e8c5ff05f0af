import Foundation
import Glibc
import PetalsCodec
import PetalsCore
import PetalsTesting
import Synchronization
import Testing

@testable import PetalsStore

/// SIGKILL at a disk operation: after it, every read is right or absent, and nothing is damaged.
///
/// A child process writes, evicts and reads; at its n-th disk operation it kills itself. A number
/// of operations is a moment that does not depend on how fast the machine is.
@Suite(.serialized) struct CrashTests {
    static let blob = Result { try TestBlob(seed: 9, size: 600_000) }
    static let variable = "PETALS_STORE_CRASH"

    @Test(arguments: [9, 14, 17, 23, 38, 61, 100, 137])
    func killed(after operations: Int) async throws {
        let folder = try TemporaryFolder()
        // SAFETY: the texts live through the call; no other test of this target reads or sets
        // the environment.
        unsafe setenv(Self.variable, "\(operations) \(folder.path)/state", 1)
        await #expect(processExitsWith: .signal(SIGKILL)) {
            try CrashTests.workUntilKilled()
        }
        // SAFETY: as above.
        unsafe unsetenv(Self.variable)
        let blob = try Self.blob.get()
        let book = LogBook()
        let store = try Store(
            folder: StateFolder(opening: folder.path + "/state"), logger: book.logger, limit: nil)
        guard let stored = store.blob(blob.id) else { return }
        for address in blob.addresses {
            let all = 0..<blob.geometry.leafCount(address)
            let read = try stored.read(address, leaves: all)
            #expect(try read == nil || read == blob.cell(address))
        }
        // Nothing is torn by a kill: the system has every write that returned.
        #expect(try store.verify().isClean)
        #expect(book.all.filter { $0.hasPrefix("warning") } == [])
        let again = try blob.open(in: store)
        for address in blob.addresses { try again.write(try blob.cell(address)) }
        #expect(try store.verify().cells == blob.addresses.count)
    }

    /// What the child does.
    private static func workUntilKilled() throws {
        let text = try #require(ProcessInfo.processInfo.environment[variable])
        let words = text.split(separator: " ")
        let last = try #require(Int(words[0]))
        let plan = FaultPlan()
        plan.set { _, _, _ in
            if plan.state.withLock({ $0.operations }) >= last { kill(getpid(), SIGKILL) }
            return nil
        }
        let blob = try blob.get()
        let store = try Store(
            folder: StateFolder(opening: String(words[1]), faults: plan.faults),
            logger: LogBook().logger, limit: 3 * Limits.cellBytes)
        let stored = try blob.open(in: store)
        var generator = SeededGenerator(seed: UInt64(last))
        for _ in 0..<10_000 {
            guard let address = blob.addresses.randomElement(using: &generator) else { return }
            let half = (blob.geometry.leafCount(address) + 1) / 2
            try stored.write(try blob.cell(address).part(0..<half))
            try stored.write(try blob.cell(address))
            _ = try stored.read(address, leaves: 0..<1)
            if generator.next() % 3 == 0 { stored.evict(address) }
        }
    }
}
