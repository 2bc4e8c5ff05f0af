internal import PetalsCodec
internal import PetalsCore
internal import PetalsTesting
internal import ShardFetch

// Junk that is rare by construction: attack 22.

/// A clique that has 1,000 models which nobody wants, and would have donors keep them and pay for
/// the copies.
///
/// Donors follow one catalogue, into which the clique tries to bring its models: by heads that it
/// signs in the owner's name, by delegations that it made up or that are over, by another log under
/// the owner's head. `CatalogueSigning` decides what of that is listed, and `DonationPlan` what of
/// that is kept. Some donors were deceived, and follow the clique's own catalogue as well: they
/// keep junk, and `DemandBook` decides what the copies are worth. They sign receipts for these,
/// which the clique's ledger takes.
private struct JunkTrial {
    static let modelsReal = 60
    static let shardBytes = 50_000_000

    let scale: Attack.Scale
    let models: Int
    var catalogue: SampleCatalogue
    var junk: SampleCatalogue
    /// What the clique offers donors as news of the catalogue that they follow.
    var offers: [(head: SignedHead, log: [UInt8])] = []
    var clique = CreditLedger(own: AddressBook.peerID(1), epoch: 1)
    var generator: SeededGenerator

    /// The clique's credit at all donors, and what they signed for.
    var credit = Mills.zero
    var signed = Mills.zero
    /// Shards that those took who were not deceived, and how many of them are junk.
    var taken = 0
    var wasted = 0
    /// Junk that the deceived took.
    var deceived = 0
    var refused = 0
    var violations: [String] = []

    init(_ scale: Attack.Scale) throws {
        self.scale = scale
        generator = scale.generator
        models = scale.count(1000, least: 100)
        catalogue = try SampleCatalogue(seed: 1, title: "Models")
        junk = try SampleCatalogue(seed: 2, title: "Better models")
        for number in 0..<Self.modelsReal {
            try catalogue.add(.entry(SampleCatalogue.entry("model-\(number)")))
        }
        for number in 0..<models {
            try junk.add(.entry(SampleCatalogue.entry("junk-\(number)")))
        }
        try forge()
    }

    private mutating func forge() throws {
        var claimed = catalogue.log
        for entry in junk.log.entries { try claimed.append(.entry(entry)) }
        let log = claimed.serialized()
        func head(
            _ signer: SigningIdentity, _ delegation: SignedDelegation? = nil, issue: Int
        ) -> SignedHead {
            CatalogueSigning.sign(
                claimed, owner: catalogue.id, signer: signer, delegation: delegation,
                issue: issue, now: SampleCatalogue.now)
        }
        offers.append((head(junk.owner, issue: 1), log))
        // A delegation that the owner never gave, and one whose key the clique stole when it was
        // over.
        let begin = SampleCatalogue.now - 90 * 86_400
        let madeUp = CatalogueSigning.delegate(
            CatalogueDelegation(
                owner: catalogue.id, delegate: junk.id, issue: 2, notBefore: begin,
                expiresAt: SampleCatalogue.now + 86_400), owner: junk.owner)
        offers.append((head(junk.owner, madeUp, issue: 2), log))
        let over = try catalogue.delegation(
            to: junk.owner, issue: 3, from: begin, until: SampleCatalogue.now - 86_400)
        offers.append((head(junk.owner, over, issue: 3), log))
        // The owner's own head with another log, and the head of another catalogue.
        offers.append((catalogue.head(), log))
        offers.append((junk.head(), junk.log.serialized()))
    }

    // MARK: Donors

    mutating func run(donors: Int) throws {
        for donor in 0..<donors { try run(donor) }
    }

    private mutating func run(_ donor: Int) throws {
        let isDeceived = donor % 10 == 9
        var listed = try entries(of: catalogue.head(), catalogue.log.serialized(), catalogue.id)
        for offer in offers {
            let found = try? entries(of: offer.head, offer.log, catalogue.id)
            if found == nil { refused += 1 }
            listed += found ?? []
        }
        if isDeceived { listed += try entries(of: junk.head(), junk.log.serialized(), junk.id) }
        let seconds = CreditMarket.epoch
        var ledger = CreditLedger(own: AddressBook.peerID(500 + donor), epoch: 1)
        var demand = DemandBook()
        var plan = try donationPlan(donor, listing: Set(listed.map(\.name)))
        ask(&ledger, &demand, &plan, at: seconds)
        for shard in fill(&plan) {
            let number = shard.blob.rawValue - Self.modelsReal
            if !isDeceived { taken += 1 }
            guard number >= 0 else { continue }
            if isDeceived { deceived += 1 } else { wasted += 1 }
            let price = demand.replicationPrice(of: group(number), at: seconds)
            ledger.received(
                bytes: Self.shardBytes, price: price, from: clique.own, epoch: 1, now: 0,
                at: seconds)
        }
        let receipt = ledger.dueReceipt(to: clique.own, quantum: 0, now: 0, at: seconds)
        if let verified = receipt?.verified() {
            _ = clique.take(verified, now: 0, at: seconds)
            signed += verified.statement.mills
        }
        for account in ledger.accounts.values { credit += account.balance }
        if let fault = ledger.check() { violations.append(fault) }
    }

    /// What a catalogue lists, if its owner stands behind it.
    private func entries(
        of head: SignedHead, _ log: [UInt8], _ id: CatalogueID
    ) throws -> [CatalogueEntry] {
        guard scale.isDefended else { return try CatalogueLog(parsing: log).entries }
        let checked = try CatalogueSigning.check(head, of: id, now: SampleCatalogue.now)
        return try CatalogueSigning.check(log: log, of: checked, knowing: nil).log.entries
    }

    private func group(_ number: Int) -> DemandBook.Group {
        DemandBook.Group(AddressBook.peerID(10_000 + number), 0)
    }

    /// Two Sybils ask for each junk model, so that it looks wanted.
    private mutating func ask(
        _ ledger: inout CreditLedger, _ demand: inout DemandBook, _ plan: inout DonationPlan,
        at seconds: Int
    ) {
        for number in 0..<models {
            for _ in 0..<2 {
                let sybil = AddressBook.peerID(1000 + Int(generator.next() % 100))
                ledger.met(sybil, group: "s", now: 0, at: seconds)
                guard ledger.gives(1, to: sybil, at: seconds) else { continue }
                let funds = Mills(bytes: 1 << 30)
                let standing =
                    scale.isDefended
                    ? ledger.standing(of: sybil, at: seconds)
                    : CreditStanding(tier: .funded, weight: funds, funds: funds, group: "s")
                let counts = demand.sent(
                    group(number), to: sybil, standing: standing, price: CreditTerms.basePrice,
                    at: seconds)
                guard counts else { continue }
                plan.demanded(
                    Limits.leafBytes, of: .init(.init(Self.modelsReal + number), ShardIndex(0)),
                    now: 1)
            }
        }
    }

    // MARK: What a donor keeps

    private func donationPlan(
        _ number: Int, listing names: Set<String>
    ) throws -> DonationPlan {
        let geometry = try BlobGeometry.standard(storedLength: 400_000_000)
        var plan = DonationPlan(
            own: .init(UInt64(number + 1)), secret: UInt64(number), quota: 2_000_000_000)
        // The publisher of the models, and the clique's.
        for peer in 0..<2 {
            plan.peerOpened(.init(UInt64(900 + peer)), domain: UInt64(900 + peer), now: 0)
        }
        for blob in 0..<Self.modelsReal + models {
            let isReal = blob < Self.modelsReal
            let name = isReal ? "model-\(blob)" : "junk-\(blob - Self.modelsReal)"
            guard names.contains(name) else { continue }
            plan.add(
                .init(blob), id: AddressBook.peerID(20_000 + blob), geometry: geometry, now: 0)
            for shard in 0..<geometry.shardCount {
                plan.claims(
                    .init(isReal ? 900 : 901), .init(.init(blob), ShardIndex(shard)),
                    isWhole: true, now: 0)
            }
        }
        return plan
    }

    /// Has a plan take what it wants until it is full.
    private func fill(_ plan: inout DonationPlan) -> [DonationPlan.Shard] {
        var taken: [DonationPlan.Shard] = []
        for second in 2..<400 {
            for action in plan.advance(now: Double(second)) {
                switch action {
                case .take(let shard, let way):
                    plan.took(shard, way, now: Double(second))
                    taken.append(shard)
                case .audit(let peer, let shard):
                    plan.audited(peer, shard, .proved, now: Double(second))
                case .drop, .abandon: break
                }
            }
        }
        return taken
    }
}

extension CreditLedger {
    /// Gives a peer leaves at the usual price where the line is idle, as a server does.
    ///
    /// - Returns: whether there was room for them in its window.
    fileprivate mutating func gives(_ leaves: Int, to peer: PeerID, at seconds: Int) -> Bool {
        var tally = CreditTally(peer)
        guard tally.give(leaves, of: &self, isContended: false, now: 0, at: seconds) > 0 else {
            return false
        }
        tally.enter(in: &self, epoch: 1, now: 0, at: seconds)
        return true
    }
}

extension Attack {
    static let junk = Attack(22, "1,000 junk models, wanted by 100 Sybils") { scale in
        var trial = try JunkTrial(scale)
        try trial.run(donors: scale.count(40, least: 10))
        return (
            [
                Measure(
                    "the clique's credit", Double(trial.credit.rawValue), atMost: 0, "mills"),
                Measure(
                    "signed to it for copies", Double(trial.signed.rawValue), atMost: 0, "mills"),
                Measure(
                    "quota of junk", 100 * Double(trial.wasted) / Double(max(1, trial.taken)),
                    atMost: 5, "%"),
                Measure("shards that donors took", Double(trial.taken), atLeast: 1),
                Measure("junk that deceived donors took", Double(trial.deceived), atLeast: 1),
                Measure("forged lists refused", Double(trial.refused), atLeast: 1),
            ], trial.violations
        )
    }
}
