import CSodium
import PetalsCore
import Testing

@testable import PetalsCodec

/// Goal: the cipher starts anywhere.
///
/// Method: every offset and length around block borders, against the stream sealed at once.
@Suite struct StreamCipherTests {
    @Test func anyPartIsThePartOfTheWhole() throws {
        let cipher = StreamCipher(key: try key(3))
        let plain = lcg(seed: 1, count: 260)
        var whole = plain
        cipher.apply(at: 0, to: &whole)
        let points = [0, 1, 31, 62, 63, 64, 65, 127, 128, 129, 191, 192, 193, 255, 256, 257, 260]
        for range in ranges(between: points) {
            var part = Array(plain[range])
            cipher.apply(at: range.lowerBound, to: &part)
            #expect(part == Array(whole[range]))
            // The same inside of a larger array, whose rest stays as it is.
            var inPlace = plain
            cipher.apply(at: range.lowerBound, to: &inPlace, range: range)
            #expect(
                inPlace == Array(plain[..<range.lowerBound] + part + plain[range.upperBound...]))
            cipher.apply(at: range.lowerBound, to: &part)
            #expect(part == Array(plain[range]))
        }
    }

    /// The counter of blocks is 64 bits wide: at 256 GiB it leaves the lower 32.
    @Test(arguments: [0, 1 << 38 - 64, 1 << 38, 1 << 38 + 64, 1 << 62])
    func farOffsetsAreTheStreamOfLibsodium(border: Int) throws {
        let secret = try key(5)
        for offset in [border, border + 1, border + 63] {
            let count = 600
            // The slow way: whole blocks, from the border on.
            var blocks = [UInt8](repeating: 0, count: 64 + count)
            let nonce = [UInt8](repeating: 0, count: 24)
            // SAFETY: both arrays have `blocks.count` bytes, nonce and key 24 and 32.
            let result = unsafe crypto_stream_xchacha20_xor_ic(
                &blocks, Array(blocks), UInt64(blocks.count), nonce, UInt64(border / 64),
                secret.bytes)
            #expect(result == 0)
            var part = [UInt8](repeating: 0, count: count)
            StreamCipher(key: secret).apply(at: offset, to: &part)
            #expect(part == Array(blocks[(offset - border)...].prefix(count)))
        }
    }

    @Test func otherKeysGiveOtherStreams() throws {
        var streams: Set<[UInt8]> = []
        for byte in UInt8(0)..<20 {
            var zeros = [UInt8](repeating: 0, count: 64)
            StreamCipher(key: try key(byte)).apply(at: 0, to: &zeros)
            streams.insert(zeros)
        }
        #expect(streams.count == 20)
    }

    @Test func randomKeysDiffer() {
        #expect(Set((0..<50).map { _ in SecretKey.random() }).count == 50)
    }
}

/// Goal: a document opens under its key, whole and unchanged, or not at all.
///
/// Method: every bit of a small one flipped, every length cut.
@Suite struct DocumentSealTests {
    @Test func everyChangeIsNoticed() throws {
        let document = Array("a descriptor".utf8)
        let sealed = DocumentSeal.seal(document, key: try key(1))
        #expect(sealed.count == document.count + DocumentSeal.overhead)
        #expect(try DocumentSeal.open(sealed, key: try key(1)) == document)
        for bit in 0..<sealed.count * 8 {
            var wrong = sealed
            wrong[bit / 8] ^= 1 << UInt8(bit % 8)
            #expect(throws: PetalsError.self) { try DocumentSeal.open(wrong, key: try key(1)) }
        }
        for length in 0..<sealed.count {
            #expect(throws: PetalsError.self) {
                try DocumentSeal.open(Array(sealed[..<length]), key: try key(1))
            }
        }
        #expect(throws: PetalsError.self) { try DocumentSeal.open(sealed + [0], key: try key(1)) }
        #expect(throws: PetalsError.self) { try DocumentSeal.open(sealed, key: try key(2)) }
    }

    @Test func emptyDocuments() throws {
        let sealed = DocumentSeal.seal([], key: try key(1))
        #expect(sealed.count == DocumentSeal.overhead)
        #expect(try DocumentSeal.open(sealed, key: try key(1)) == [])
    }

    @Test func descriptorsAreBoundToTheirID() throws {
        let geometry = try BlobGeometry.standard(storedLength: 100_000)
        let descriptor = BlobDescriptor(
            geometry: geometry,
            shardRoots: (0..<geometry.shardCount).map { sha256([UInt8($0)]) })
        let (bytes, id) = SealedDescriptor.seal(descriptor, relayKey: try key(1))
        #expect(try SealedDescriptor.open(bytes, relayKey: key(1), expecting: id) == descriptor)
        #expect(throws: PetalsError.self) {
            try SealedDescriptor.open(bytes, relayKey: key(2), expecting: id)
        }
        #expect(throws: PetalsError.self) {
            try SealedDescriptor.open(bytes, relayKey: key(1), expecting: sha256([]))
        }
        #expect(throws: PetalsError.self) {
            try SealedDescriptor.open(bytes + [0], relayKey: key(1), expecting: id)
        }
    }
}

/// Goal: a signature is its signer's.
///
/// Method: every byte of message, signature and key changed.
@Suite struct SigningIdentityTests {
    @Test func onlyTheSignedMessageVerifies() throws {
        let identity = SigningIdentity()
        let message = Array("hello".utf8)
        let signature = identity.sign(message)
        func verify(_ signature: [UInt8], _ message: [UInt8], _ key: [UInt8]) -> Bool {
            SigningIdentity.verify(signature: signature, message: message, publicKey: key)
        }
        #expect(verify(signature, message, identity.publicKey))
        #expect(!verify(signature, message + [0], identity.publicKey))
        #expect(!verify(signature, message, SigningIdentity().publicKey))
        for index in signature.indices {
            var wrong = signature
            wrong[index] ^= 1
            #expect(!verify(wrong, message, identity.publicKey))
        }
        for wrong in [[], Array(signature.dropLast()), signature + [0]] {
            #expect(!verify(wrong, message, identity.publicKey))
        }
        for wrong: [UInt8] in [
            [], Array(repeating: 255, count: 32), Array(repeating: 1, count: 31),
        ] {
            #expect(!verify(signature, message, wrong))
        }
    }

    @Test func aSeedIsAnIdentity() throws {
        let identity = SigningIdentity()
        let again = try SigningIdentity(seed: identity.seed)
        #expect(again.publicKey == identity.publicKey)
        #expect(again.peerID == sha256(identity.publicKey))
        for length in [0, 31, 33, 64] {
            #expect(throws: PetalsError.self) {
                try SigningIdentity(seed: Array(repeating: 1, count: length))
            }
        }
    }

    @Test func secretsDoNotPrintThemselves() throws {
        let identity = try SigningIdentity(seed: Array(repeating: 0xAB, count: 32))
        var dumped = ""
        dump(identity, to: &dumped)
        for text in ["\(identity)", String(reflecting: identity), dumped] {
            #expect(!text.lowercased().contains("abab") && !text.contains("171"))
        }
    }
}

/// Goal: a manifest opens only for whom it is meant and only as it was signed.
///
/// Method: build every wrong pairing by hand.
@Suite struct ManifestSealingTests {
    let signer: SigningIdentity
    let manifest: ModelManifest
    let record: FileRecord

    init() throws {
        signer = try SigningIdentity(seed: Array(repeating: 9, count: 32))
        record = FileRecord(
            size: 70_000, sha256: sha256([1]),
            frames: try FrameTable(size: 70_000, codec: .raw, lengths: []), blobID: sha256([2]),
            blobKey: try key(3))
        manifest = try tinyManifest(record)
    }

    /// Seals parts that need not belong together.
    func assemble(signed: SignedInner, grants: [BlobGrant], innerDigest: Digest? = nil) throws
        -> (bytes: [UInt8], id: ManifestID, readKey: SecretKey)
    {
        let readKey = try key(42)
        let inner = DocumentSeal.seal(signed.serialized(), key: KeyDerivation.innerKey(readKey))
        let outer = ManifestOuter(grants: grants, innerDigest: innerDigest ?? sha256(inner))
        let bytes = SealedManifest(
            outer: DocumentSeal.seal(
                outer.serialized(),
                key: KeyDerivation.outerKey(KeyDerivation.relayKey(of: readKey))),
            inner: inner
        ).serialized()
        return (bytes, sha256(bytes), readKey)
    }

    func signed(_ body: [UInt8], domain: [UInt8] = SignedInner.domain) -> SignedInner {
        SignedInner(
            body: body, publisher: signer.publicKey, signature: signer.sign(domain + body))
    }

    func failure(_ bytes: [UInt8], _ readKey: SecretKey, _ id: ManifestID) -> PetalsError.Code? {
        do throws(PetalsError) {
            _ = try ManifestSealing.openInner(bytes, readKey: readKey, id: id)
            return nil
        } catch {
            return error.code
        }
    }

    @Test func holdersSeeTheirPartOnly() throws {
        let sealed = try ManifestSealing.seal(manifest, signer: signer, readKey: .random())
        let relayKey = KeyDerivation.relayKey(of: sealed.readKey)
        let outer = try ManifestSealing.openOuter(sealed.bytes, relayKey: relayKey, id: sealed.id)
        #expect(outer.grants == ManifestSealing.grants(of: manifest))
        #expect(outer.grants.map(\.relayKey) == [KeyDerivation.relayKey(of: record.blobKey)])
        // A relay key is no read key.
        #expect(failure(sealed.bytes, relayKey, sealed.id) == .corrupt)
        #expect(throws: PetalsError.self) {
            try ManifestSealing.openOuter(sealed.bytes, relayKey: sealed.readKey, id: sealed.id)
        }
    }

    @Test func publicManifestsAreDeterministic() throws {
        let first = try ManifestSealing.seal(manifest, signer: signer)
        let second = try ManifestSealing.seal(manifest, signer: signer)
        #expect(first.bytes == second.bytes && first.readKey == second.readKey)
        let other = try ManifestSealing.seal(manifest, signer: SigningIdentity())
        #expect(other.readKey != first.readKey)
    }

    @Test func aBlobIsGrantedOnce() throws {
        var twice = manifest
        twice.entries.append(
            ManifestEntry(
                path: try ModelPath("copy.bin"), executable: false, content: .record(record)))
        #expect(ManifestSealing.grants(of: twice).count == 1)
        let sealed = try ManifestSealing.seal(twice, signer: signer)
        #expect(failure(sealed.bytes, sealed.readKey, sealed.id) == nil)
    }

    @Test func brokenManifestsAreNotPublished() throws {
        var broken = manifest
        broken.entries.append(broken.entries[0])
        #expect(throws: PetalsError.self) { try ManifestSealing.seal(broken, signer: signer) }
    }

    @Test func everyWrongPairingIsRefused() throws {
        let body = manifest.serialized()
        let grants = ManifestSealing.grants(of: manifest)
        let right = try assemble(signed: signed(body), grants: grants)
        #expect(failure(right.bytes, right.readKey, right.id) == nil)
        #expect(failure(right.bytes, try key(1), right.id) == .corrupt)
        #expect(failure(right.bytes, right.readKey, sha256([])) == .corrupt)
        #expect(failure(right.bytes + [0], right.readKey, right.id) == .corrupt)
        let unsigned = SignedInner(
            body: body, publisher: signer.publicKey, signature: Array(repeating: 0, count: 64))
        let wrongs = [
            try assemble(signed: unsigned, grants: grants),
            try assemble(signed: signed(body, domain: []), grants: grants),
            try assemble(signed: signed(body), grants: []),
            try assemble(
                signed: signed(body),
                grants: [BlobGrant(blobID: record.blobID, relayKey: try key(1))]),
            try assemble(signed: signed(body), grants: grants, innerDigest: sha256([])),
            try assemble(signed: signed(Array(body.dropLast())), grants: grants),
            try assemble(signed: signed([]), grants: grants),
        ]
        for wrong in wrongs {
            #expect(failure(wrong.bytes, wrong.readKey, wrong.id) != nil)
        }
    }

    @Test func damageAnywhereIsRefused() throws {
        let sealed = try ManifestSealing.seal(manifest, signer: signer)
        for position in sealed.bytes.indices {
            var wrong = sealed.bytes
            wrong[position] ^= 0x10
            #expect(failure(wrong, sealed.readKey, sealed.id) == .corrupt)
            // Even where a peer could choose the id, as in a link of its own making.
            #expect(failure(wrong, sealed.readKey, sha256(wrong)) != nil)
        }
    }
}
