import PetalsCore
import PetalsTesting
import Testing

/// Statements and messages about credit with every field set, the same each time.
enum CreditSamples {
    /// A signature that only says who made it: enough for what does not check.
    struct Signer: StatementSigner {
        let publicKey: [UInt8]

        func sign(_ message: [UInt8]) -> [UInt8] {
            let sum = message.reduce(UInt8(7)) { $0 &* 31 &+ $1 }
            return [UInt8](repeating: sum, count: 32) + publicKey
        }
    }

    /// Checks the signatures of `Signer`, whose peer id is its public key.
    struct Verifier: SignatureVerifier {
        func signer(of message: [UInt8], signature: [UInt8], publicKey: [UInt8]) -> PeerID? {
            Signer(publicKey: publicKey).sign(message) == signature ? Digest(publicKey) : nil
        }
    }

    static func peer(_ number: UInt8) throws -> PeerID {
        try #require(Digest([UInt8](repeating: number, count: 32)))
    }

    static func receipt(
        sequence: Int = 3, bytes: Int = 16_384, mills: Int64 = 16_000
    ) throws -> Receipt {
        try #require(
            Receipt(
                debtor: peer(1), creditor: peer(2), epoch: 9, sequence: sequence, bytes: bytes,
                mills: Mills(mills), time: 1_700_000_000))
    }

    static func messages() throws -> [ControlMessage] {
        let signer = Signer(publicKey: [UInt8](repeating: 1, count: 32))
        let receipt = Signed(try receipt(), by: signer)
        let assignment = try #require(
            Assignment(
                creditor: peer(1), beneficiary: peer(2), debtor: peer(3), serial: 4,
                mills: Mills(5), expiry: 6))
        let reply = try #require(
            AssignmentReply(
                creditor: peer(1), beneficiary: peer(2), debtor: peer(3), serial: 4,
                accepted: .zero))
        let most = Int(Limits.creditNumberMax)
        let none = try #require(CreditBalance.Side(epoch: 0, bytes: 0, mills: .zero))
        let all = try #require(CreditBalance.Side(epoch: .max, bytes: most, mills: .limit))
        let topic = try #require(Topic([UInt8](repeating: 5, count: Topic.byteCount)))
        let address = CellAddress(shard: ShardIndex(1), cell: CellIndex(2))
        return [
            .receipt(receipt), .assign(Signed(assignment, by: signer)),
            .askAssignment(assignment), .assignReply(Signed(reply, by: signer)),
            .balance(CreditBalance(received: none, given: none, receipt: nil)),
            .balance(CreditBalance(received: all, given: none, receipt: receipt)),
            .terms(try #require(CreditTerms(epoch: 1, quantum: 1, window: 1))),
            .terms(
                try #require(
                    CreditTerms(
                        epoch: .max, price: 1, priceMax: 4000, quantum: 16 << 20,
                        window: 16 << 20))),
        ]
            + [0, 1, 4000].map {
                .request(
                    .init(
                        request: 1, topic: topic, address: address, leaves: 0..<1, bulk: true,
                        price: $0))
            }
    }
}

/// Amounts, statements and what may be said in them.
@Suite struct CreditTests {
    /// Every operation at the ends of the numbers, compared with arithmetic that has room.
    @Test func amountsNeverTrap() {
        let ends: [Int64] = [.min, .min + 1, -1 << 60, -1, 0, 1, 1 << 60, .max - 1, .max]
        for a in ends {
            for b in ends {
                let (sum, difference) = (Int128(a) + Int128(b), Int128(a) - Int128(b))
                #expect((Mills(a) + Mills(b)).rawValue == Int64(clamping: sum))
                #expect((Mills(a) - Mills(b)).rawValue == Int64(clamping: difference))
                #expect(Mills(a).adding(Mills(b))?.rawValue == Int64(exactly: sum))
                #expect(Mills(a).subtracting(Mills(b))?.rawValue == Int64(exactly: difference))
                #expect(
                    Mills(a).divided(by: b).rawValue == (b > 0 ? a / b : 0))
            }
            #expect((-Mills(a)).rawValue == Int64(clamping: -Int128(a)))
            for fraction in [-1, 0, 0.5, 1, 2, .nan, .infinity] {
                let part = Mills(a).scaled(by: fraction).rawValue
                #expect(part.magnitude <= a.magnitude, "\(a) times \(fraction)")
            }
            let bytes = Int128(a) * 1024 / 1000
            let shown = Int128(Mills(a).bytesAtBasePrice)
            #expect(abs(shown - max(min(bytes, Int128(Int.max)), Int128(Int.min))) <= 1024)
        }
    }

    /// The price of every small number of bytes at some prices, and of the largest there are.
    @Test func pricesAreRoundedUp() {
        for price in [1, 500, 1000, 4000] {
            for bytes in 0...2048 {
                let exact = (bytes * price + 1023) / 1024
                #expect(Mills(bytes: bytes, price: price).rawValue == exact)
            }
            let exact = (Int128(Int.max) * Int128(price) + 1023) / 1024
            #expect(
                Mills(bytes: .max, price: price)
                    == Mills(min(Int64(clamping: exact), Mills.limit.rawValue)))
            #expect(Mills(bytes: -1, price: price) == .zero)
        }
        #expect(Mills(bytes: .max, price: .max) == .limit)
        #expect(Mills(bytes: 1 << 60, price: 1024) == .limit)
        #expect(Mills(bytes: 1 << 59, price: 1024) == Mills(1 << 59))
        #expect(Mills(bytes: 5, price: 0) == .zero && Mills(bytes: 5, price: -1) == .zero)
    }

    /// Each field at its limit and beyond it.
    @Test func numbersBeyondTheLimitAreNoStatement() throws {
        let (a, b) = (try CreditSamples.peer(1), try CreditSamples.peer(2))
        func receipt(
            creditor: PeerID? = nil, _ sequence: Int, _ bytes: Int, _ mills: Int64, _ time: Int
        ) -> Receipt? {
            Receipt(
                debtor: a, creditor: creditor ?? b, epoch: 0, sequence: sequence, bytes: bytes,
                mills: Mills(mills), time: time)
        }
        let most = Limits.creditNumberMax
        #expect(receipt(most, most, Int64(most), most) != nil && receipt(0, 0, 0, 0) != nil)
        #expect(receipt(creditor: a, 0, 0, 0, 0) == nil)
        for bad in [-1, most + 1, .max, .min] {
            #expect(receipt(bad, 0, 0, 0) == nil && receipt(0, bad, 0, 0) == nil)
            #expect(receipt(0, 0, Int64(bad), 0) == nil && receipt(0, 0, 0, bad) == nil)
            #expect(CreditBalance.Side(epoch: 0, bytes: bad, mills: .zero) == nil)
            #expect(CreditTerms(epoch: 0, price: bad, quantum: 1, window: 1) == nil)
            #expect(CreditTerms(epoch: 0, priceMax: bad, quantum: 1, window: 1) == nil)
            #expect(CreditTerms(epoch: 0, quantum: bad, window: 1) == nil)
            #expect(CreditTerms(epoch: 0, quantum: 1, window: bad) == nil)
        }
        #expect(CreditTerms(epoch: 0, quantum: 2, window: 1) == nil)
    }

    /// Whoever changes any byte of a statement, or signs for somebody else, is found out.
    @Test func onlyTheSignerSpeaksForItself() throws {
        let signer = CreditSamples.Signer(publicKey: [UInt8](repeating: 1, count: 32))
        let verifier = CreditSamples.Verifier()
        let signed = Signed(try CreditSamples.receipt(), by: signer)
        #expect(try Verified(signed, by: verifier).statement == signed.statement)
        let larger = Signed(
            try CreditSamples.receipt(mills: 16_001), publicKey: signed.publicKey,
            signature: signed.signature)
        let thief = CreditSamples.Signer(publicKey: [UInt8](repeating: 2, count: 32))
        for forged in [larger, Signed(signed.statement, by: thief)] {
            #expect(throws: PetalsError.self) { try Verified(forged, by: verifier) }
        }
    }

    /// No two statements have the same bytes to sign.
    @Test func signedBytesTellStatementsApart() throws {
        var seen: Set<[UInt8]> = []
        for sequence in [0, 1, 256, 1 << 60] {
            for bytes in [0, 1, 256, 1 << 60] {
                for mills in [0, 1, 256, 1 << 60] as [Int64] {
                    let receipt = try CreditSamples.receipt(
                        sequence: sequence, bytes: bytes, mills: mills)
                    #expect(seen.insert(receipt.signedBytes).inserted)
                }
            }
        }
        #expect(Set(seen.map(\.count)) == [13 + 96 + 36])
    }

    /// A receipt as it is kept, and every damage of one byte.
    @Test func receiptsComeBackFromTheDisk() throws {
        let signer = CreditSamples.Signer(publicKey: [UInt8](repeating: 1, count: 32))
        let signed = Signed(try CreditSamples.receipt(), by: signer)
        #expect(try SignedReceipt(parsing: signed.serialized()) == signed)
        Mutations.each(of: signed.serialized()) { bytes in
            // An error is one of the two right answers; the other is a receipt that nobody signed.
            guard let read = try? SignedReceipt(parsing: bytes), read != signed else { return }
            #expect(throws: PetalsError.self) {
                try Verified(read, by: CreditSamples.Verifier())
            }
        }
    }
}
