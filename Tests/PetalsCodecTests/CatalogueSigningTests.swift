import PetalsCore
import PetalsTesting
import Testing

@testable import PetalsCodec

/// Catalogues as a follower meets them: right ones, and every kind of wrong one.
@Suite struct CatalogueSigningTests {
    private let now = SampleCatalogue.now

    private func code(_ body: () throws -> Void) -> PetalsError.Code? {
        do {
            try body()
            return nil
        } catch {
            return (error as? PetalsError)?.code
        }
    }

    private func grown(_ count: Int, seed: UInt8 = 1) throws -> SampleCatalogue {
        var sample = try SampleCatalogue(seed: seed)
        for number in 1..<max(count, 1) {
            try sample.add(.entry(SampleCatalogue.entry("model-\(number)")))
        }
        return sample
    }

    @Test func whatTheOwnerSignedIsRight() throws {
        let sample = try grown(5)
        let checked = try sample.checkedHead()
        let bytes = sample.log.serialized()
        let (log, extends) = try CatalogueSigning.check(log: bytes, of: checked, knowing: nil)
        #expect(log == sample.log && extends)
        #expect(log.title == "Models" && log.entries.count == 4 && log.ignored.isEmpty)
        #expect(checked.head.sequence == 5 && checked.head.logDigest == sha256(bytes))
        let travelled = try SignedHead(parsing: checked.signed.serialized())
        #expect(try CatalogueSigning.check(travelled, of: sample.id, now: now) == checked)
        #expect(
            try CatalogueSigning.restore(checked.signed.serialized(), of: sample.id) == checked)
    }

    /// Every byte of a head that is changed or missing is noticed, and none is a trap.
    @Test func aChangedHeadIsForged() throws {
        let sample = try grown(3)
        let delegate = SigningIdentity()
        var delegated = sample
        delegated.issue = 7
        let delegation = try sample.delegation(to: delegate, issue: 7)
        for head in [sample.head(), delegated.head(signer: delegate, delegation: delegation)] {
            let bytes = head.serialized()
            func accepts(_ bytes: [UInt8]) -> Bool {
                guard let parsed = try? SignedHead(parsing: bytes),
                    let checked = try? CatalogueSigning.check(parsed, of: sample.id, now: now)
                else { return false }
                // Only what signs the DHT's item may be lost: the head is the same without it.
                return checked.signed.body != head.body || checked.signed.signer != head.signer
                    || checked.signed.itemSignature.count == 64
                        && checked.signed.itemSignature != head.itemSignature
            }
            for position in bytes.indices {
                for flip: UInt8 in [0x01, 0x80, 0xFF] {
                    var changed = bytes
                    changed[position] ^= flip
                    #expect(!accepts(changed), "byte \(position) xor \(flip)")
                }
                #expect(!accepts(Array(bytes[..<position])), "cut at \(position)")
            }
        }
    }

    @Test func anotherOwnersHeadIsRefused() throws {
        let (one, other) = (try grown(2, seed: 1), try grown(2, seed: 2))
        #expect(
            code { _ = try CatalogueSigning.check(other.head(), of: one.id, now: now) } == .corrupt)
        // The other one claims the first one's name.
        let claimed = CatalogueSigning.sign(
            one.log, owner: one.id, signer: other.owner, issue: 0, now: now)
        #expect(
            code { _ = try CatalogueSigning.check(claimed, of: one.id, now: now) } == .corrupt)
    }

    /// Ends, beginnings and times of signing on each side of each bound.
    @Test func aDelegationCountsInItsTime() throws {
        let delegate = SigningIdentity()
        var sample = try grown(2)
        sample.issue = 3
        let slack = CatalogueSigning.clockDifferenceMax
        let (begin, end) = (now, now + 1000)
        let delegation = try sample.delegation(to: delegate, issue: 3, from: begin, until: end)
        for (time, signedAt, expected) in [
            (begin, begin, nil), (end, end, nil), (end + slack, end, nil),
            (end + slack + 1, end, .badInput), (begin - slack, begin - slack, nil),
            (begin - slack - 1, begin - slack - 1, .badInput),
            (end, end + slack, nil), (end + slack, end + slack + 1, .badInput),
            (begin, begin + slack + 1, .badInput),
        ] as [(Int, Int, PetalsError.Code?)] {
            let head = sample.head(signer: delegate, delegation: delegation, now: signedAt)
            let found = code { _ = try CatalogueSigning.check(head, of: sample.id, now: time) }
            #expect(found == expected, "at \(time - now), signed at \(signedAt - now)")
        }
        let reversed = try sample.delegation(to: delegate, issue: 3, from: end, until: begin)
        let head = sample.head(signer: delegate, delegation: reversed)
        #expect(
            code { _ = try CatalogueSigning.check(head, of: sample.id, now: now) } == .corrupt)
    }

    /// What was accepted in time is still known after its delegation has expired.
    @Test func whatWasKeptOutlivesItsDelegation() throws {
        let delegate = SigningIdentity()
        var sample = try grown(2)
        sample.issue = 3
        let slack = CatalogueSigning.clockDifferenceMax
        for (begin, end, signedAt) in [
            (now, now + 10, now), (now, now + 10, now + 10 + slack), (now, now + 10, now - slack),
            (now, now, now),
        ] {
            let delegation = try sample.delegation(to: delegate, issue: 3, from: begin, until: end)
            let head = sample.head(signer: delegate, delegation: delegation, now: signedAt)
            #expect(try CatalogueSigning.restore(head.serialized(), of: sample.id).signed == head)
        }
    }

    @Test func onlyTheOwnersDelegateSigns() throws {
        let (delegate, thief) = (SigningIdentity(), SigningIdentity())
        var sample = try grown(2)
        sample.issue = 3
        let other = try grown(2, seed: 2)
        let right = try sample.delegation(to: delegate, issue: 3)
        let foreign = try other.delegation(to: thief, issue: 3)
        let forged = CatalogueSigning.delegate(
            try sample.delegation(to: thief, issue: 3).delegation, owner: thief)
        let older = try sample.delegation(to: delegate, issue: 2)
        for (signer, delegation) in [
            (thief, right), (thief, foreign), (thief, forged), (delegate, older),
            (delegate, foreign),
        ] {
            let head = sample.head(signer: signer, delegation: delegation)
            #expect(
                code { _ = try CatalogueSigning.check(head, of: sample.id, now: now) } == .corrupt)
        }
        // A delegate without showing what makes him one.
        let bare = sample.head(signer: delegate)
        #expect(
            code { _ = try CatalogueSigning.check(bare, of: sample.id, now: now) } == .corrupt)
        _ = try CatalogueSigning.check(
            sample.head(signer: delegate, delegation: right), of: sample.id, now: now)
    }

    /// All pairs of two issues and three lengths, against the definition.
    @Test func theHighestHeadWins() throws {
        var heads: [CatalogueSigning.CheckedHead] = []
        for issue in [0, 1] {
            for count in 1...3 {
                var sample = try grown(count)
                sample.issue = issue
                heads.append(try sample.checkedHead())
            }
        }
        for (position, known) in heads.enumerated() {
            for (other, offered) in heads.enumerated() {
                let verdict = CatalogueSigning.judge(offered, knowing: known)
                #expect(
                    verdict == (other > position ? .newer : other < position ? .older : .known))
            }
            #expect(CatalogueSigning.judge(known, knowing: nil) == .newer)
        }
    }

    @Test func twoStoriesOfOneLengthAreEquivocation() throws {
        var (one, other) = (try grown(3), try grown(3))
        try one.add(.withdrawn("model-1"))
        try other.add(.withdrawn("model-2"))
        #expect(
            CatalogueSigning.judge(try other.checkedHead(), knowing: try one.checkedHead())
                == .equivocation)
        // The same story signed a second time is none.
        #expect(
            CatalogueSigning.judge(
                try one.checkedHead(now: now + 5), knowing: try one.checkedHead())
                == .known)
    }

    /// Every pair of lengths: a log that adds to a known one does; one that was changed in any
    /// place that is known does not.
    @Test func aLogThatDoesNotExtendTheKnownOneIsNoticed() throws {
        let length = 9
        for known in 1..<length {
            let head = try grown(known).checkedHead()
            let sample = try grown(length)
            let offered = try sample.checkedHead()
            #expect(
                try CatalogueSigning.check(
                    log: sample.log.serialized(), of: offered, knowing: head
                ).extends)
            for changed in 1..<length {
                var story = try SampleCatalogue()
                for number in 1..<length {
                    let version: UInt8 = number == changed ? 9 : 1
                    try story.add(
                        .entry(SampleCatalogue.entry("model-\(number)", version: version)))
                }
                let extends = try CatalogueSigning.check(
                    log: story.log.serialized(), of: story.checkedHead(), knowing: head
                ).extends
                #expect(extends == (changed >= known), "\(known) known, \(changed) changed")
            }
        }
        // Shorter than what is known, under a higher issue.
        var short = try grown(2)
        short.issue = 1
        #expect(
            try !CatalogueSigning.check(
                log: short.log.serialized(), of: short.checkedHead(),
                knowing: grown(4).checkedHead()
            ).extends)
    }

    /// Each byte of a log matters, and so does each record's place.
    @Test func aLogThatIsNotTheHeadsIsRefused() throws {
        let sample = try grown(3)
        let checked = try sample.checkedHead()
        let bytes = sample.log.serialized()
        for position in bytes.indices {
            var changed = bytes
            changed[position] ^= 1
            for wrong in [changed, Array(bytes[..<position])] {
                #expect(
                    code {
                        _ = try CatalogueSigning.check(log: wrong, of: checked, knowing: nil)
                    } == .corrupt)
            }
        }
        // A head that names a log rightly, and tells another root or number of it.
        for change in [\CatalogueHead.sequence, \.logBytes] as [WritableKeyPath<CatalogueHead, Int>]
        {
            var head = checked.head
            head[keyPath: change] += 1
            #expect(code { try check(bytes, head, sample) } == .corrupt)
        }
        var head = checked.head
        head.root = sha256([1])
        #expect(code { try check(bytes, head, sample) } == .corrupt)
        try check(bytes, checked.head, sample)
    }

    private func check(
        _ bytes: [UInt8], _ head: CatalogueHead, _ sample: SampleCatalogue
    ) throws {
        let signed = SignedHead(
            head: head, signature: sample.owner.sign(CatalogueHead.domain + head.serialized()),
            delegation: nil, itemSignature: [])
        let checked = try CatalogueSigning.check(signed, of: sample.id, now: now)
        _ = try CatalogueSigning.check(log: bytes, of: checked, knowing: nil)
    }

    /// What goes into the DHT is signed as BEP 44 says, fits, and says who signs.
    @Test func itemsAreSignedAndFit() throws {
        let delegate = SigningIdentity()
        var sample = try grown(2)
        sample.issue = now
        let delegation = try sample.delegation(to: delegate, issue: now)
        let head = sample.head(signer: delegate, delegation: delegation)
        for content in [CatalogueItem.head(head), .delegation(delegation)] {
            #expect(CatalogueSigning.hasSoundItem(content))
            let item = try #require(content.item)
            #expect(item.value.count <= 1000 && item.salt.count <= 64)
            #expect(
                SigningIdentity.verify(
                    signature: item.signature,
                    message: Array("4:salt\(item.salt.count):".utf8) + item.salt
                        + Array("3:seqi\(item.sequence)e1:v".utf8) + item.value,
                    publicKey: item.key))
        }
        #expect(CatalogueItem.head(head).item?.key == delegate.publicKey)
        #expect(CatalogueItem.delegation(delegation).item?.key == sample.owner.publicKey)
        guard case .head(let found) = try CatalogueItem(value: CatalogueItem.head(head).value)
        else { throw PetalsError(.corrupt, "a head is a head") }
        #expect(found.body == head.body && found.signature == head.signature)
        let value = CatalogueItem.head(head).value
        for length in 0..<value.count {
            #expect(code { _ = try CatalogueItem(value: Array(value[..<length])) } != nil)
        }
        #expect(code { _ = try CatalogueItem(value: Array("0:".utf8)) } == .corrupt)
        #expect(code { _ = try CatalogueItem(value: Array("i5e".utf8)) } == .corrupt)
        // One that a mirror has broken is left out, and the head stays right.
        var broken = head
        broken.itemSignature[3] ^= 1
        let checked = try CatalogueSigning.check(broken, of: sample.id, now: now)
        #expect(checked.signed.itemSignature.isEmpty)
    }
}
