import PetalsCodec
import PetalsCore
import PetalsTesting
import Testing

@testable import PetalsStore

/// The books of credit on the disk: what goes in comes out, and nothing else.
@Suite struct CreditRegistryTests {
    let temporary: TemporaryFolder

    init() throws {
        temporary = try TemporaryFolder()
    }

    private func open() throws -> Registry {
        try Registry(
            folder: StateFolder(opening: temporary.path + "/state"), logger: LogBook().logger)
    }

    private static func receipt(_ signer: SigningIdentity, mills: Int64) throws -> SignedReceipt {
        Signed(
            try #require(
                Receipt(
                    debtor: signer.peerID, creditor: sha256([1]), epoch: 4, sequence: 5, bytes: 6,
                    mills: Mills(mills), time: 8)), by: signer)
    }

    private static func row(_ number: UInt8) -> CreditRow {
        CreditRow(peer: sha256([number]), account: Array(repeating: number, count: Int(number)))
    }

    @Test func rowsComeBackAsTheyWere() throws {
        let rows = (0...5).map { Self.row($0) }.sorted { $0.peer < $1.peer }
        do {
            let registry = try open()
            #expect(try registry.openCredit(now: 1000).epoch == 1000)
            var change = CreditChange()
            change.rows = rows
            try registry.keepCredit(change)
        }
        let registry = try open()
        var books = try registry.openCredit(now: 2000)
        #expect(books.epoch == 1000 && books.rows == rows)
        // What is kept again takes the place of what was.
        let changed = CreditRow(peer: rows[0].peer, account: [7])
        var change = CreditChange()
        change.rows = [changed]
        change.closed = [rows[1].peer]
        try registry.keepCredit(change)
        books = try registry.openCredit(now: 2000)
        #expect(books.rows == [changed] + rows[2...])
    }

    /// A change is kept whole or not at all: its last part is impossible, and nothing of it stays.
    @Test func aChangeIsKeptWhole() throws {
        let registry = try open()
        let rows = [Self.row(1), Self.row(2)]
        var change = CreditChange()
        change.rows = [rows[0]]
        try registry.keepCredit(change)
        change.rows = [rows[1]]
        change.closed = [rows[0].peer]
        var blob = CreditBlobRow(blob: sha256([1]))
        blob.given = Mills(.max)
        // The second addition has no integer as its sum, which a strict table refuses.
        change.blobs = [blob, blob]
        #expect(throws: PetalsError.self) { try registry.keepCredit(change) }
        #expect(try registry.openCredit(now: 1).rows == [rows[0]])
        #expect(try registry.creditBlobs().isEmpty)
    }

    @Test func evidenceStaysAndTheFirstCounts() throws {
        let registry = try open()
        let signer = try SigningIdentity(seed: [UInt8](repeating: 1, count: 32))
        var change = CreditChange()
        for seconds in 1...3 {
            change.evidence.append(
                CreditEvidence(
                    first: try Self.receipt(signer, mills: 1),
                    second: try Self.receipt(signer, mills: Int64(1 + seconds)), seenAt: seconds))
        }
        try registry.keepCredit(change)
        let kept = try registry.creditEvidence()
        #expect(kept == [change.evidence[0]])
        for receipt in kept.flatMap({ [$0.first, $0.second] }) {
            _ = try Verified(receipt, by: Ed25519Verifier())
        }
    }

    /// Sums grow; beyond the most, the smallest go.
    @Test func sumsOfBlobsAreKept() throws {
        let registry = try open()
        func blob(_ number: Int, _ mills: Int64) -> CreditBlobRow {
            var row = CreditBlobRow(blob: sha256([UInt8(number & 255), UInt8(number >> 8)]))
            (row.givenBytes, row.given) = (Int(mills), Mills(mills))
            (row.receivedBytes, row.received) = (2, Mills(1))
            return row
        }
        var change = CreditChange()
        change.blobs = (0...Registry.creditBlobsMax).map { blob($0, Int64($0)) }
        try registry.keepCredit(change)
        var rows = try registry.creditBlobs()
        #expect(rows.count == Registry.creditBlobsMax)
        #expect(!rows.contains { $0.blob == blob(0, 0).blob })
        change.blobs = [blob(1, 10_000)]
        try registry.keepCredit(change)
        rows = try registry.creditBlobs()
        #expect(rows.count == Registry.creditBlobsMax)
        #expect(rows[0].blob == blob(1, 0).blob && rows[0].given == Mills(10_001))
        #expect(rows[0].givenBytes == 10_001 && rows[0].receivedBytes == 4)
    }
}
