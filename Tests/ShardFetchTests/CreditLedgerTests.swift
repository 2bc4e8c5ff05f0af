import PetalsCore
import PetalsTesting
import Testing

@testable import ShardFetch

/// One node's books against cases reckoned by hand; random traffic and crashes are in SwarmTests.
@Suite struct CreditLedgerTests {
    private static let seconds = 1_800_000_000
    private let own = Digest(words: (1, 0, 0, 0))
    private let peer = Digest(words: (2, 0, 0, 0))
    private let other = Digest(words: (3, 0, 0, 0))

    private func books() -> CreditLedger { CreditLedger(own: own, epoch: 7) }

    /// A connection with a peer that takes part.
    private func connect(_ ledger: inout CreditLedger, now: Double = 0) -> CreditTally {
        ledger.met(peer, group: "", now: now, at: Self.seconds)
        let tally = CreditTally(peer)
        tally.meter.noteSpeaking()
        return tally
    }

    /// Promises leaves as a server does.
    private func reserve(
        _ leaves: Int, price: Int = 1000, _ tally: inout CreditTally, _ ledger: inout CreditLedger,
        now: Double, isContended: Bool = true
    ) -> Int {
        tally.meter.reserve(leaves: leaves, price: price, isContended: isContended) {
            tally.enter(in: &ledger, epoch: 1, now: now, at: Self.seconds)
            tally.allow(by: ledger, isContended: isContended, at: Self.seconds)
        }
    }

    private func receipt(
        _ sequence: Int, _ mills: Mills, epoch: UInt32 = 7, creditor: PeerID? = nil
    ) throws -> VerifiedReceipt {
        let receipt = Receipt(
            debtor: peer, creditor: creditor ?? own, epoch: epoch, sequence: sequence,
            bytes: Int(mills.rawValue), mills: mills, time: Self.seconds)
        return try #require(receipt?.verified())
    }

    /// Sends as much as the window lets through.
    private func fill(
        _ tally: inout CreditTally, _ ledger: inout CreditLedger, now: Double,
        isContended: Bool = true
    ) -> Int {
        var leaves = 0
        while true {
            let granted = reserve(16, &tally, &ledger, now: now, isContended: isContended)
            guard granted > 0 else { return leaves }
            tally.meter.post(leaves: granted, price: 1000)
            leaves += granted
        }
    }

    @Test func aStrangerHasACellAndMoreOnlyForASignature() throws {
        var ledger = books()
        var tally = connect(&ledger)
        let found1 = fill(&tally, &ledger, now: 0)
        #expect(found1 == 16)
        let given = try #require(ledger.accounts[peer]?.given)
        #expect(given == Mills(bytes: Limits.cellBytes))
        let found5 = try ledger.take(receipt(1, given), now: 0.1, at: Self.seconds)
        #expect(found5 == .counted)
        let found2 = fill(&tally, &ledger, now: 0.2)
        #expect(found2 == 16, "where others wait, it stays a cell")
        let found3 = fill(&tally, &ledger, now: 0.2, isContended: false)
        #expect(found3 == 8, "else half as much again")
        #expect(ledger.check() == nil)
    }

    /// Each step of the window on a quick line, up to the largest.
    @Test func theWindowGrowsByHalves() throws {
        var ledger = books()
        var tally = connect(&ledger)
        var sizes: [Int] = []
        var given = Mills.zero
        for step in 1...12 {
            let now = Double(step)
            _ = fill(&tally, &ledger, now: now, isContended: false)
            given = try #require(ledger.accounts[peer]?.given)
            _ = try ledger.take(receipt(step, given), now: now, at: Self.seconds)
            sizes.append(
                ledger.window(of: peer, isContended: false, at: Self.seconds).bytesAtBasePrice
                    / 1024)
        }
        #expect(
            sizes == [384, 576, 864, 1296, 1944, 2916, 4374, 6561, 9841, 14762, 16384, 16384])
    }

    /// A line that carries 160 KiB a second never has more under way than a proven peer may have.
    @Test func theWindowStaysSmallOnASlowLine() throws {
        var ledger = books()
        ledger.met(peer, group: "", now: 0, at: Self.seconds)
        let leaf = Mills(bytes: Limits.leafBytes)
        var given = Mills.zero
        for step in 1...400 {
            let now = Double(step) / 10
            ledger.post(
                bytes: Limits.leafBytes, leaf, reserved: .zero, to: peer, isSigned: true, now: now,
                at: Self.seconds)
            // Signed for as soon as the next one is on its way.
            if step > 1 {
                _ = try ledger.take(receipt(step, given), now: now + 0.001, at: Self.seconds)
            }
            given = try #require(ledger.accounts[peer]?.given)
        }
        let size = ledger.window(of: peer, isContended: false, at: Self.seconds)
        #expect(size == Mills(bytes: 1 << 20))
    }

    @Test func aLateReceiptStopsAndAMissingOneCloses() throws {
        var ledger = books()
        var tally = connect(&ledger)
        _ = fill(&tally, &ledger, now: 0)
        let found6 = ledger.advance(now: 6.9, at: Self.seconds)
        #expect(found6.isEmpty)
        let found7 = ledger.advance(now: 7, at: Self.seconds)
        #expect(found7 == [.stop(peer)])
        let found8 = ledger.advance(now: 31.9, at: Self.seconds)
        #expect(found8.isEmpty)
        let found9 = ledger.advance(now: 32, at: Self.seconds)
        #expect(found9 == [.close(peer)])
        let account = try #require(ledger.accounts[peer])
        #expect(account.balance == .zero && account.lost == Mills(bytes: Limits.cellBytes))
        #expect(account.isInDefault)
        // Another connection changes nothing while others wait; a day lets in half a window. What
        // nobody wants it may have as a stranger does.
        ledger.left(peer, at: Self.seconds)
        tally = connect(&ledger, now: 100)
        #expect(ledger.window(of: peer, isContended: true, at: Self.seconds) == .zero)
        let idle = ledger.window(of: peer, isContended: false, at: Self.seconds)
        #expect(idle == Mills(bytes: Limits.cellBytes))
        let day = ledger.window(of: peer, isContended: true, at: Self.seconds + 86_400)
        #expect(abs(day.bytesAtBasePrice - Limits.cellBytes / 2) < 2048)
        // Signing for it makes it good.
        let paid = try receipt(1, account.given)
        let found10 = ledger.take(paid, now: 101, at: Self.seconds)
        #expect(found10 == .counted)
        #expect(ledger.accounts[peer]?.lost == .zero && ledger.check() == nil)
        #expect(ledger.accounts[peer]?.balance == -Mills(bytes: Limits.cellBytes))
    }

    @Test func whatIsPromisedIsPostedOrVoidedOnce() throws {
        var ledger = books()
        var tally = connect(&ledger)
        let first = reserve(8, price: 2000, &tally, &ledger, now: 0)
        #expect(first == 8)
        let second = reserve(1, &tally, &ledger, now: 0)
        #expect(second == 0, "a stream beside it cannot overdraw")
        // What is promised is no debt yet, and counts against funds.
        #expect(ledger.accounts[peer]?.given == .zero)
        #expect(
            ledger.funds(of: peer, at: Self.seconds)
                == -Mills(bytes: 8 * Limits.leafBytes, price: 2000))
        tally.meter.void(leaves: 8, price: 2000)
        let found4 = fill(&tally, &ledger, now: 0)
        #expect(found4 == 16 && ledger.check() == nil)
        tally.enter(in: &ledger, epoch: 1, now: 0, at: Self.seconds)
        #expect(ledger.funds(of: peer, at: Self.seconds) == -Mills(bytes: Limits.cellBytes))
    }

    /// What was promised when the books were entered, and then not sent, is waited for by nobody: a
    /// peer that has signed for all that it had is not late.
    @Test func whatIsVoidedIsNeverLate() throws {
        var ledger = books()
        var tally = connect(&ledger)
        #expect(reserve(4, &tally, &ledger, now: 0) == 4)
        tally.meter.post(leaves: 4, price: 1000)
        #expect(reserve(4, &tally, &ledger, now: 0) == 4)
        tally.enter(in: &ledger, epoch: 1, now: 0, at: Self.seconds)
        tally.meter.void(leaves: 4, price: 1000)
        let paid = try receipt(1, Mills(bytes: 4 * Limits.leafBytes))
        #expect(ledger.take(paid, now: 1, at: Self.seconds) == .counted)
        tally.enter(in: &ledger, epoch: 1, now: 1, at: Self.seconds)
        #expect(ledger.accounts[peer]?.unsigned == .zero)
        #expect(ledger.advance(now: 100, at: Self.seconds).isEmpty)
    }

    /// A receipt is due before the window is full, also where others wait and it is small.
    @Test func termsAskForReceiptsInTime() throws {
        var ledger = books()
        var tally = connect(&ledger)
        for step in 1...8 {
            _ = fill(&tally, &ledger, now: Double(step), isContended: false)
            let given = try #require(ledger.accounts[peer]?.given)
            _ = try ledger.take(receipt(step, given), now: Double(step), at: Self.seconds)
        }
        func quantum(isContended: Bool) -> Int? {
            ledger.terms(for: peer, isContended: isContended, at: Self.seconds)?.quantum
        }
        let window = ledger.window(of: peer, isContended: false, at: Self.seconds)
        #expect(window.bytesAtBasePrice >> 10 == 6561)
        #expect(quantum(isContended: false) == window.bytesAtBasePrice / 2)
        #expect(quantum(isContended: true) == 128 << 10, "of a stranger's window, the half")
    }

    @Test func receiptsOfOthersAndOldOnesChangeNothing() throws {
        var ledger = books()
        var tally = connect(&ledger)
        _ = fill(&tally, &ledger, now: 0)
        for foreign in [
            try receipt(9, Mills(5000), epoch: 6), try receipt(9, Mills(5000), creditor: other),
        ] {
            let found11 = ledger.take(foreign, now: 0, at: Self.seconds)
            #expect(found11 == .foreign)
        }
        let found12 = try ledger.take(receipt(2, Mills(500)), now: 0, at: Self.seconds)
        #expect(found12 == .counted)
        for stale in [try receipt(1, Mills(400)), try receipt(2, Mills(500))] {
            let found13 = ledger.take(stale, now: 0, at: Self.seconds)
            #expect(found13 == .stale)
        }
        let twice = try receipt(2, Mills(501))
        let found14 = ledger.take(twice, now: 0, at: Self.seconds)
        #expect(found14 == .equivocation)
        #expect(ledger.accounts[peer]?.hasEquivocated == true)
        let evidence = ledger.takeEntries().contains {
            if case .equivocated = $0.change { true } else { false }
        }
        #expect(evidence)
    }

    /// What was given back twice over is spent; what was never given is no line.
    @Test func fundsAreBalanceAndLine() {
        var ledger = books()
        #expect(ledger.standing(of: peer, at: Self.seconds).tier == .newcomer)
        ledger.received(
            bytes: 1 << 20, price: 1000, from: peer, epoch: 1, now: 0, at: Self.seconds)
        #expect(ledger.funds(of: peer, at: Self.seconds) == Mills(bytes: 2 << 20))
        #expect(ledger.standing(of: peer, at: Self.seconds).tier == .funded)
        ledger.violated(peer, at: Self.seconds)
        #expect(ledger.funds(of: peer, at: Self.seconds) == Mills(bytes: 2 << 20))
        ledger.violated(peer, at: Self.seconds)
        #expect(ledger.funds(of: peer, at: Self.seconds) == Mills(bytes: 1 << 20))
        let month = Self.seconds + 30 * 86_400
        let left = ledger.account(of: peer, at: month)
        #expect(abs((left?.balance ?? .zero).bytesAtBasePrice - (1 << 19)) < 1024)
    }

    /// Both ends forget the same, whenever each of them looks.
    @Test func forgettingIsTheSameOnBothSides() {
        let decay = Decay(halfLifeHours: 720)
        for amount in [1, 999, 1_000_000, 1 << 40, 1 << 60] as [Int64] {
            var stepped = Mills(amount)
            for _ in 0..<720 { stepped = decay.applied(to: stepped, hours: 1) }
            #expect(stepped == decay.applied(to: Mills(amount), hours: 720))
            #expect(-stepped == decay.applied(to: Mills(-amount), hours: 720))
            #expect(abs(Double(stepped.rawValue) / Double(amount) - 0.5) < 0.51 || amount < 999)
        }
        #expect(decay.applied(to: Mills.limit, hours: .max) == .zero)
    }

    @Test func accountsMakeRoomForOthers() throws {
        var rules = CreditRules()
        rules.accountsMax = 32
        var ledger = CreditLedger(own: own, epoch: 1, rules: rules)
        ledger.received(bytes: 1 << 20, price: 1000, from: peer, epoch: 1, now: 0, at: Self.seconds)
        for number in 0..<500 {
            let stranger = Digest(words: (9, UInt64(number), 0, 0))
            ledger.met(stranger, group: "", now: 0, at: Self.seconds + number)
            ledger.left(stranger, at: Self.seconds + number)
            #expect(ledger.check() == nil && ledger.accounts.count <= 32)
        }
        #expect(ledger.accounts[peer] != nil, "who has funds stays")
    }

    // MARK: The journal

    private func entries() throws -> [CreditEntry] {
        let one = try receipt(1, Mills(10)).signed
        let changes: [CreditEntry.Change] = [
            .met(group: "10.0.0"), .took(bytes: 4000, Mills(4000), epoch: 3),
            .gave(bytes: 500, Mills(600)), .sequences(through: 1024), .receipted(one),
            .recalled(epoch: 3, bytes: 5000, Mills(5000)),
            .equivocated(one, try receipt(1, Mills(11)).signed),
            .reassigned(to: other, serial: 5, Mills(7), expiry: Self.seconds + 60),
            .issued(serial: 4), .spent(for: other, Mills(3)), .gained(from: other, Mills(2)),
            .violated, .wroteOff(isDefault: true), .evicted,
        ]
        return changes.map { CreditEntry(peer, at: Self.seconds, $0) }
    }

    /// Every kind of line, and every account that comes of them; cut anywhere, it is refused.
    @Test func linesAndAccountsComeBackFromBytes() throws {
        var ledger = books()
        for entry in try entries() {
            #expect(try CreditEntry(encoded: entry.encoded) == entry)
            for count in 0..<entry.encoded.count {
                #expect(throws: PetalsError.self) {
                    try CreditEntry(encoded: Array(entry.encoded.prefix(count)))
                }
            }
            ledger.apply(entry)
            #expect(ledger.check() == nil)
            for account in ledger.accounts.values {
                #expect(try CreditAccount(encoded: account.encoded) == account)
                #expect(throws: PetalsError.self) {
                    try CreditAccount(encoded: account.encoded.dropLast())
                }
            }
        }
        #expect(ledger.accounts[peer] == nil && ledger.accounts[other] != nil)
    }

    /// Every byte of a record changed to some others: an error or other books, never a trap.
    @Test func damagedRecordsDoNotTrap() throws {
        for entry in try entries() {
            for place in entry.encoded.indices {
                for value in [0, 1, 0x7f, 0x80, 0xff] as [UInt8] {
                    var bytes = entry.encoded
                    bytes[place] = value
                    guard let read = try? CreditEntry(encoded: bytes) else { continue }
                    var ledger = books()
                    ledger.apply(read)
                    _ = ledger.check()
                    _ = ledger.standing(of: read.peer, at: Self.seconds)
                }
            }
        }
    }

    @Test func aJournalIsTheLedger() throws {
        var ledger = books()
        var journal: [CreditEntry] = []
        var tally = connect(&ledger)
        for step in 0..<50 {
            let now = Double(step)
            let later = Self.seconds + step * 3000
            ledger.received(
                bytes: 70_000, price: 1500, from: peer, epoch: 2, now: now, at: later)
            _ = fill(&tally, &ledger, now: now)
            _ = ledger.dueReceipt(to: peer, quantum: 0, now: now, at: later)
            let given = try #require(ledger.accounts[peer]?.given)
            _ = try ledger.take(receipt(step + 1, given), now: now, at: later)
            journal += ledger.takeEntries()
        }
        let kept = try journal.map { try CreditEntry(encoded: $0.encoded) }
        let replayed = CreditLedger(own: own, epoch: 7, accounts: [], entries: kept)
        #expect(replayed.accounts == ledger.accounts && replayed.check() == nil)
    }
}
