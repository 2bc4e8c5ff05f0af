import Foundation
import Glibc
import PetalsCodec
import PetalsCore
import PetalsStore
import PetalsTesting
import Synchronization
import Testing

@testable import ShardFetch

extension Swarms {
    /// SIGKILL around every write of the books: nobody is credited with more than was signed, and
    /// what is lost is within the window.
    ///
    /// A child process has one node read a file from another, and kills itself at its n-th write of
    /// books, before it or behind it. The test then starts both nodes again on what is left. The
    /// number is a moment that does not depend on how fast the machine is; where the work is done
    /// before the n-th write, that is said.
    @Suite(.serialized) struct CreditCrashTests {
        static let blob = Result {
            try SampleBlob(seed: 85, size: 20 * Limits.cellBytes, dataShards: 2, groupShards: 3)
        }
        static let variable = "PETALS_CREDIT_CRASH"

        @Test(arguments: [1, 2, 3, 4, 6])
        func killed(at write: Int) async throws {
            let folder = try TemporaryFolder()
            // SAFETY: the texts live through the call; no other test of this target reads or sets
            // the environment.
            unsafe setenv(Self.variable, "\(write) \(folder.path)", 1)
            await #expect(processExitsWith: .signal(SIGKILL)) {
                try await CreditCrashTests.workUntilKilled()
            }
            // SAFETY: as above.
            unsafe unsetenv(Self.variable)
            let before = try ["server", "reader"].map { name in
                try Self.books(folder.path + "/" + name)
            }
            for books in before { #expect(books.check() == nil) }
            try await Self.expectEven(folder.path, before)
        }

        /// The books as a node would take them up.
        private static func books(_ path: String) throws -> CreditLedger {
            let folder = try StateFolder(opening: path)
            defer { folder.release() }
            let own = try NodeIdentity(seed: folder.identitySeed()).peerID
            let kept = try Registry(folder: folder, logger: LogBook().logger).openCredit(now: 1)
            return CreditLedger(
                own: own, epoch: kept.epoch,
                accounts: try kept.rows.map { try CreditAccount(encoded: $0.account) },
                entries: [])
        }

        /// Both nodes meet again: the debt is what was signed, in both books.
        private static func expectEven(
            _ folder: String, _ before: [CreditLedger]
        ) async throws {
            let blob = try blob.get()
            let server = try await start(folder, "server", peers: [])
            let reader = try await start(folder, "reader", peers: [server])
            let (given, taken) = (before[0], before[1])
            let signedBefore = given.accounts[taken.own]?.signed ?? .zero
            let takenBefore = taken.accounts[given.own]?.received ?? .zero
            // What was written is what the debtor signed.
            if let receipt = given.accounts[taken.own]?.receipt {
                _ = try Verified(receipt, by: Ed25519Verifier())
            }
            let isEven = await eventually {
                let owed = server.account(of: reader.peerID)
                let owes = reader.account(of: server.peerID)
                return owed?.unsigned == .zero && owed?.signed == owes?.received
            }
            #expect(isEven)
            let owed = try #require(server.account(of: reader.peerID))
            // What either had written is not lost; the creditor claims what was signed, no more.
            #expect(owed.signed >= max(signedBefore, takenBefore))
            #expect(owed.balance == -owed.signed)
            #expect(owed.lost <= CreditRules().windowMax)
            #expect(!owed.hasEquivocated && server.creditFault == nil)
            #expect(reader.creditFault == nil)
            // And it goes on.
            try reader.store.clearCached()
            #expect(try await reader.readAll(blob.record) == blob.plain)
            await CreditTests.expectSigned(
                owed.signed + CreditTests.rare(blob.plain.count), by: reader, for: server)
            for node in [reader, server] { await node.stop() }
        }

        private static func start(
            _ folder: String, _ name: String, peers: [LoopbackNode], faults: DiskFaults? = nil
        ) async throws -> LoopbackNode {
            var options = LoopbackNode.Options()
            options.statePath = folder + "/" + name
            options.peers = peers.map(\.endpoint)
            options.faults = faults
            let node = try LoopbackNode(options)
            try await node.node.start()
            return node
        }

        /// What the child does.
        private static func workUntilKilled() async throws {
            let text = try #require(ProcessInfo.processInfo.environment[variable])
            let words = text.split(separator: " ")
            let last = try #require(Int(words[0]))
            let folder = String(words[1])
            let writes = Atomic<Int>(0)
            let faults = DiskFaults { operation, path, _ in
                guard path.hasSuffix("petals.sqlite") else { return nil }
                switch operation {
                case .write, .sync: break
                default: return nil
                }
                let count = writes.wrappingAdd(1, ordering: .relaxed).newValue
                if count >= last { kill(getpid(), SIGKILL) }
                return nil
            }
            let blob = try blob.get()
            let server = try await start(folder, "server", peers: [], faults: faults)
            try blob.install(in: server.store, shards: blob.shards)
            for stored in server.store.allBlobs() { server.node.announce(stored) }
            let reader = try await start(folder, "reader", peers: [server], faults: faults)
            while true {
                _ = try await reader.readAll(blob.record)
                try reader.store.clearCached()
                // What was read is only in memory then, and has to come again.
                reader.node.releaseMemory(of: [blob.id])
            }
        }
    }
}
