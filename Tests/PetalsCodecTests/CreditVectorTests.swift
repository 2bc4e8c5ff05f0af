import Foundation
import PetalsCore
import Testing

@testable import PetalsCodec

/// The golden vectors of credit, which an independent program has made.
@Suite struct CreditVectorTests {
    private struct Vector: Decodable {
        struct Statement: Decodable { let signed, signature, message: String }
        struct Receipt: Decodable {
            let epoch: UInt32
            let sequence, bytes, time: Int
            let mills: Int64
            let signed, signature, message: String
        }
        struct Request: Decodable {
            let price: Int?
            let message: String
        }
        let network, creditorSeed, debtorSeed, beneficiarySeed: String
        let receipts: [Receipt]
        let assign, reply: Statement
        let ask, terms, emptyBalance, balance: String
        let requests: [Request]
    }

    private struct File: Decodable { let credit: Vector }

    private let vector: Vector
    private let creditor, debtor, beneficiary: SigningIdentity

    init() throws {
        let tests = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .deletingLastPathComponent()
        let data = try Data(contentsOf: tests.appendingPathComponent("Vectors/format.json"))
        vector = try JSONDecoder().decode(File.self, from: data).credit
        creditor = try SigningIdentity(seed: hex(vector.creditorSeed))
        debtor = try SigningIdentity(seed: hex(vector.debtorSeed))
        beneficiary = try SigningIdentity(seed: hex(vector.beneficiarySeed))
    }

    /// The bytes signed, the signature and the message; and the way back, with its check.
    private func check<Statement: CreditStatement>(
        _ statement: Statement, by signer: SigningIdentity, signed: String, signature: String
    ) throws -> Signed<Statement> {
        #expect(hex(statement.signedBytes) == signed)
        let made = Signed(statement, by: signer)
        #expect(hex(made.signature) == signature)
        #expect(try Verified(made, by: Ed25519Verifier()).statement == statement)
        var wrong = made.signature
        for position in wrong.indices {
            wrong[position] ^= 1
            #expect(throws: PetalsError.self) {
                try Verified(
                    Signed(statement, publicKey: made.publicKey, signature: wrong),
                    by: Ed25519Verifier())
            }
            wrong[position] ^= 1
        }
        return made
    }

    private func check(_ message: ControlMessage, _ bytes: String) throws {
        #expect(hex(message.serialized()) == bytes)
        #expect(try ControlMessage(parsing: hex(bytes)) == message)
    }

    @Test func theNetworkIsItsDigest() {
        #expect(CreditTerms.network.hex == vector.network)
        #expect(CreditTerms.network == sha256(Array("petalsfs credit v1".utf8)))
    }

    @Test func receipts() throws {
        #expect(vector.receipts.count == 3)
        for receipt in vector.receipts {
            let statement = try #require(
                Receipt(
                    debtor: debtor.peerID, creditor: creditor.peerID, epoch: receipt.epoch,
                    sequence: receipt.sequence, bytes: receipt.bytes, mills: Mills(receipt.mills),
                    time: receipt.time))
            let signed = try check(
                statement, by: debtor, signed: receipt.signed, signature: receipt.signature)
            try check(.receipt(signed), receipt.message)
            #expect(throws: PetalsError.self) {
                try Verified(Signed(statement, by: creditor), by: Ed25519Verifier())
            }
        }
    }

    @Test func assignmentsAndTheirAnswers() throws {
        let assignment = try #require(
            Assignment(
                creditor: creditor.peerID, beneficiary: beneficiary.peerID, debtor: debtor.peerID,
                serial: 7, mills: Mills(5000), expiry: 1_700_000_120))
        let assign = try check(
            assignment, by: creditor, signed: vector.assign.signed,
            signature: vector.assign.signature)
        try check(.assign(assign), vector.assign.message)
        let reply = try #require(
            AssignmentReply(
                creditor: creditor.peerID, beneficiary: beneficiary.peerID, debtor: debtor.peerID,
                serial: 7, accepted: Mills(4000)))
        let answer = try check(
            reply, by: debtor, signed: vector.reply.signed, signature: vector.reply.signature)
        try check(.assignReply(answer), vector.reply.message)
        let wish = try #require(
            Assignment(
                creditor: creditor.peerID, beneficiary: beneficiary.peerID, debtor: debtor.peerID,
                serial: 0, mills: Mills(5000), expiry: 0))
        try check(.askAssignment(wish), vector.ask)
    }

    @Test func termsBalancesAndPrices() throws {
        let terms = try #require(CreditTerms(epoch: 3, quantum: 131_072, window: 262_144))
        try check(.terms(terms), vector.terms)
        let none = try #require(CreditBalance.Side(epoch: 0, bytes: 0, mills: .zero))
        try check(
            .balance(CreditBalance(received: none, given: none, receipt: nil)),
            vector.emptyBalance)
        let some = try #require(
            CreditBalance.Side(epoch: 3, bytes: 16_384, mills: Mills(16_000)))
        guard
            case .receipt(let receipt) = try ControlMessage(
                parsing: hex(vector.receipts[0].message))
        else {
            Issue.record("the first receipt is none")
            return
        }
        try check(
            .balance(CreditBalance(received: some, given: none, receipt: receipt)),
            vector.balance)
        let topic = try #require(Topic(Array(0..<20)))
        for request in vector.requests {
            try check(
                .request(
                    .init(
                        request: 9, topic: topic,
                        address: CellAddress(shard: ShardIndex(2), cell: CellIndex(5)),
                        leaves: 3..<7, bulk: true, price: request.price)), request.message)
        }
    }
}
