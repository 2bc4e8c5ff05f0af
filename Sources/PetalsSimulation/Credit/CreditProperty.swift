internal import PetalsCore
internal import PetalsTesting
internal import ShardFetch

/// Random traffic between a few nodes, with everything that a bad one can do to a receipt, beside a
/// slow and obvious model: a list of transfers.
///
/// Nodes send and lose bytes, sign, and have receipts lost, doubled, overtaken, forged, given
/// another number or another story; they give claims away, part, meet again, and forget what they
/// did since the last time they wrote. After each operation the books that it touched have to
/// balance; at the end the balances have to be what the list makes them, and what one owes another
/// has to be what that one thinks, but for what was lost on its way.
struct CreditProperty {
    /// One line of the model.
    private struct Transfer {
        let from: Int
        let to: Int
        let mills: Mills
        /// Whether it counts with the one who gave, and with the one who got.
        var isGiven: Bool
        var isTaken: Bool
    }

    private(set) var violations: [String] = []
    private(set) var operations = 0
    private(set) var forgeries = 0
    private(set) var storiesFound = 0

    private let count: Int
    private var generator: SeededGenerator
    private var books: [CreditLedger]
    /// The connection of each with each.
    private var tallies: [[CreditTally]]
    private let peers: [PeerID]
    private var transfers: [Transfer] = []
    /// Receipts that are somewhere on their way, old ones among them.
    private var mail: [(to: Int, receipt: SignedReceipt)] = []
    private var now = 0.0
    private var seconds: Int { CreditMarket.epoch + Int(now) }

    init(nodes: Int = 6, seed: UInt64) {
        count = nodes
        generator = SeededGenerator(seed: seed)
        let peers = (0..<nodes).map(AddressBook.peerID)
        self.peers = peers
        books = peers.map { CreditLedger(own: $0, epoch: 1) }
        tallies = peers.map { _ in peers.map { CreditTally($0) } }
        for one in 0..<nodes {
            for other in 0..<nodes where one != other { connect(one, other) }
        }
    }

    private mutating func connect(_ one: Int, _ other: Int) {
        books[one].met(peers[other], group: "", now: now, at: seconds)
        tallies[one][other] = CreditTally(peers[other])
        tallies[one][other].meter.noteSpeaking()
    }

    /// Has the books of one hear what was counted between it and another.
    private mutating func enter(_ one: Int, _ other: Int) {
        guard one != other else { return }
        tallies[one][other].enter(in: &books[one], epoch: 1, now: now, at: seconds)
    }

    private mutating func pick(_ count: Int) -> Int { Int(generator.next() % UInt64(count)) }

    mutating func run(_ total: Int) {
        while operations < total, violations.isEmpty {
            operations += 1
            now += 0.01
            let (one, other) = (pick(count), pick(count))
            guard one != other else { continue }
            switch pick(10) {
            case 0...3: send(one, other)
            case 4, 5: sign(one, to: other)
            case 6: deliver()
            case 7: generator.chance(0.9) ? tamper() : tellTwice(to: other)
            case 8: assign(one, other)
            default: part(one, other)
            }
            // All of a book is looked at each time only while it is small enough to be quick.
            if let fault = books[one].check() ?? books[other].check() {
                violations.append("operation \(operations): \(fault)")
            }
            for place in books.indices { _ = books[place].takeEntries() }
        }
        compare()
        finish()
    }

    /// Everybody signs for everything, everybody hears it, and the rest is given up: now nobody may
    /// have what no other lacks.
    private mutating func finish() {
        for server in 0..<count {
            for client in 0..<count where server != client {
                enter(client, server)
                books[client].left(peers[server], at: seconds)
                let receipt = books[client].dueReceipt(
                    to: peers[server], quantum: 0, now: now, at: seconds)
                guard let receipt else { continue }
                take(SignedReceipt(receipt, by: SimulatedSignature(peers[client])), at: server)
            }
        }
        for server in 0..<count {
            for client in 0..<count where server != client { settle(server, client) }
        }
        if imbalance != .zero { violations.append("in the end \(imbalance) belong to nobody") }
    }

    // MARK: Operations

    private mutating func send(_ server: Int, _ client: Int) {
        let (wanted, price) = (1 + pick(16), [0, 1000, 1732, 4000][pick(4)])
        let isContended = generator.chance(0.5)
        // Sometimes what was promised is not sent: it makes room, and is nobody's debt.
        if generator.chance(0.1) {
            let meter = tallies[server][client].meter
            let promised = meter.reserve(leaves: wanted, price: price, isContended: isContended) {}
            if generator.chance(0.5) { enter(server, client) }
            return meter.void(leaves: promised, price: price)
        }
        let leaves = tallies[server][client].give(
            wanted, price: price, of: &books[server], isContended: isContended, now: now,
            at: seconds)
        guard leaves > 0 else { return }
        let bytes = leaves * Limits.leafBytes
        let mills = Mills(bytes: bytes, price: price)
        var transfer = Transfer(
            from: server, to: client, mills: mills, isGiven: true, isTaken: false)
        if !generator.chance(0.05) {
            tallies[client][server].meter.note(received: bytes, mills)
            transfer.isTaken = true
        }
        transfers.append(transfer)
    }

    private mutating func sign(_ client: Int, to server: Int) {
        enter(client, server)
        let receipt = books[client].dueReceipt(
            to: peers[server], quantum: 0, now: now, at: seconds)
        guard let receipt else { return }
        let signed = SignedReceipt(receipt, by: SimulatedSignature(peers[client]))
        mail.append((server, signed))
        if mail.count > 64 { mail.remove(at: pick(32)) }
    }

    private mutating func deliver() {
        guard !mail.isEmpty else { return }
        let place = pick(mail.count)
        take(mail[place].receipt, at: mail[place].to)
        if generator.chance(0.5) { mail.remove(at: place) }
    }

    private mutating func take(_ signed: SignedReceipt, at server: Int) {
        let verifier = SimulatedSignature(peers[server])
        guard let verified = try? Verified(signed, by: verifier) else {
            forgeries += 1
            return
        }
        let debtor = peers.firstIndex(of: verified.statement.debtor) ?? 0
        // As a node does: what was sent until now first, since the receipt may speak of it.
        enter(server, debtor)
        let before = standing(server, debtor)
        _ = books[server].take(verified, now: now, at: seconds)
        let after = standing(server, debtor)
        // What was written off is paid after all.
        let paid = before - after
        if paid < .zero { violations.append("a receipt made its debtor richer by \(-paid)") }
        if paid > .zero { restore(server, debtor, paid) }
    }

    /// Changes a receipt that is on its way without its signer's key.
    private mutating func tamper() {
        guard !mail.isEmpty else { return }
        let (to, signed) = mail[pick(mail.count)]
        let old = signed.statement
        let changed = Receipt(
            debtor: old.debtor, creditor: generator.chance(0.3) ? peers[pick(count)] : old.creditor,
            epoch: old.epoch, sequence: old.sequence + pick(2), bytes: old.bytes,
            mills: old.mills + Mills(Int64(1 + pick(1_000_000))), time: old.time)
        guard let changed else { return }
        take(
            SignedReceipt(changed, publicKey: signed.publicKey, signature: signed.signature),
            at: to)
    }

    /// A liar of its own, so that the others' books stay comparable, signs two stories under one
    /// number.
    private mutating func tellTwice(to server: Int) {
        let name = AddressBook.peerID(1000 + operations % 8)
        for story in 1...2 {
            let receipt = Receipt(
                debtor: name, creditor: peers[server], epoch: 1, sequence: 1, bytes: story,
                mills: Mills(Int64(story)), time: seconds)?.verified()
            guard let receipt else { return }
            let outcome = books[server].take(receipt, now: now, at: seconds)
            if story == 2, outcome != .equivocation {
                violations.append("two stories under one number passed")
            }
        }
        storiesFound += 1
        if books[server].standing(of: name, at: seconds).tier != .newcomer {
            violations.append("a liar has funds")
        }
    }

    /// A claim is given away: by one to another, at a third, and everybody hears of it.
    private mutating func assign(_ creditor: Int, _ beneficiary: Int) {
        let debtor = pick(count)
        guard debtor != creditor, debtor != beneficiary else { return }
        now += 6
        for (one, other) in [(creditor, debtor), (creditor, beneficiary), (debtor, creditor)] {
            enter(one, other)
        }
        let offer = books[creditor].offer(
            Mills(Int64(1 + pick(10_000_000))), to: peers[beneficiary], at: peers[debtor],
            seconds: seconds)
        guard let offer, let verified = Assignment.checked(offer),
            let reply = books[debtor].take(verified, at: seconds),
            let answer = AssignmentReply.checked(reply)
        else { return }
        let owed =
            -(books[beneficiary].account(of: peers[creditor], at: seconds)?.balance ?? .zero)
        let taken = books[beneficiary].take(
            answer, asked: reply.accepted, at: seconds)
        _ = books[creditor].take(answer, asked: .zero, at: seconds)
        let gained = taken ? min(reply.accepted, owed) : .zero
        // The debtor owes the one the less and the other the more; so does the creditor.
        note(creditor, debtor, reply.accepted, isGiven: false, isTaken: true, sign: -1)
        note(beneficiary, debtor, reply.accepted, isGiven: false, isTaken: true, sign: 1)
        note(creditor, debtor, reply.accepted, isGiven: true, isTaken: false, sign: -1)
        note(beneficiary, creditor, reply.accepted, isGiven: false, isTaken: true, sign: -1)
        note(beneficiary, creditor, gained, isGiven: true, isTaken: false, sign: -1)
        note(beneficiary, debtor, gained, isGiven: true, isTaken: false, sign: 1)
    }

    /// Two part and meet again: what was on its way is given up, and the newest receipts are shown.
    private mutating func part(_ one: Int, _ other: Int) {
        for (server, client) in [(one, other), (other, one)] {
            enter(server, client)
            books[server].left(peers[client], at: seconds)
        }
        for (server, client) in [(one, other), (other, one)] { connect(server, client) }
        for (server, client) in [(one, other), (other, one)] {
            if let receipt = books[server].accounts[peers[client]]?.receipt,
                let verified = try? Verified(receipt, by: SimulatedSignature(peers[client])),
                books[client].recall(verified, at: seconds)
            {
                violations.append("a node had forgotten what it signed, and nothing crashed")
            }
            sign(client, to: server)
            if let last = mail.last, last.to == server, generator.chance(0.8) {
                take(last.receipt, at: server)
            }
            settle(server, client)
        }
    }

    private mutating func settle(_ server: Int, _ client: Int) {
        let before = standing(server, client)
        books[server].settle(peers[client], at: seconds)
        let gone = standing(server, client) - before
        note(server, client, gone, isGiven: true, isTaken: false, sign: -1)
    }

    private mutating func restore(_ server: Int, _ client: Int, _ mills: Mills) {
        note(server, client, mills, isGiven: true, isTaken: false, sign: 1)
    }

    private mutating func note(
        _ from: Int, _ to: Int, _ mills: Mills, isGiven: Bool, isTaken: Bool, sign: Int64
    ) {
        guard mills != .zero else { return }
        transfers.append(
            Transfer(
                from: from, to: to, mills: Mills(sign * mills.rawValue), isGiven: isGiven,
                isTaken: isTaken))
    }

    // MARK: The model

    /// What the books have of one for another, before anything was forgotten.
    private func standing(_ one: Int, _ other: Int) -> Mills {
        guard let account = books[one].accounts[peers[other]] else { return .zero }
        return account.balance - account.forgotten
    }

    /// Compares the books with what the list of transfers makes.
    private mutating func compare() {
        for one in 0..<count {
            for other in 0..<count { enter(one, other) }
        }
        var model = [[Mills]](
            repeating: [Mills](repeating: .zero, count: count), count: count)
        for transfer in transfers {
            if transfer.isGiven { model[transfer.from][transfer.to] -= transfer.mills }
            if transfer.isTaken { model[transfer.to][transfer.from] += transfer.mills }
        }
        for one in 0..<count {
            for other in 0..<count where one != other {
                let known = standing(one, other)
                if known != model[one][other] {
                    violations.append(
                        "\(one) has \(known) for \(other), and the list \(model[one][other])")
                }
                let account = books[one].accounts[peers[other]]
                if account?.hasEquivocated == true {
                    violations.append("\(one) takes an honest \(other) for a liar")
                }
            }
        }
    }

    /// What all balances of all nodes make together, before anything was forgotten.
    var imbalance: Mills {
        var sum = Mills.zero
        for one in 0..<count {
            for other in 0..<count where one != other { sum += standing(one, other) }
        }
        return sum
    }
}
