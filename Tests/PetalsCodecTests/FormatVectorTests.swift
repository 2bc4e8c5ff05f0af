import PetalsCore
import Testing

@testable import PetalsCodec

/// Goal: the bytes on disks and wires are those of the written format, for ever.
///
/// Method: compare with vectors that an independent program in another language computed from the
/// format alone.
@Suite struct FormatVectorTests {
    let vectors: Vectors

    init() throws {
        vectors = try Vectors.load()
    }

    @Test func keysAndTopics() throws {
        let keys = vectors.keys
        let secret = try #require(SecretKey(hex(keys.secret)))
        let stored = try #require(Digest(hex: keys.storedSHA256))
        let geometry = try BlobGeometry(
            storedLength: keys.storedLength, dataShards: keys.dataShards,
            groupShards: keys.groupShards, rowsPerGroup: keys.rowsPerGroup)
        let blobKey = KeyDerivation.blobKey(storedSHA256: stored, geometry: geometry)
        #expect(hex(blobKey.bytes) == keys.blobKey)
        #expect(hex(KeyDerivation.relayKey(of: secret).bytes) == keys.relayKey)
        #expect(hex(KeyDerivation.documentKey(secret).bytes) == keys.documentKey)
        #expect(hex(KeyDerivation.outerKey(secret).bytes) == keys.outerKey)
        #expect(hex(KeyDerivation.innerKey(secret).bytes) == keys.innerKey)
        let readKey = KeyDerivation.modelReadKey(publicBody: hex(keys.signedInner))
        #expect(hex(readKey.bytes) == keys.modelReadKey)
        for topic in keys.topics {
            let id = try #require(Digest(hex: keys.topicID))
            #expect(hex(KeyDerivation.topic(secret, of: id, day: topic.day).bytes) == topic.topic)
        }
        for topic in keys.fileTopics {
            #expect(hex(KeyDerivation.topic(ofFile: stored, day: topic.day).bytes) == topic.topic)
        }
    }

    @Test func streamCipher() throws {
        let cipher = StreamCipher(key: try #require(SecretKey(hex(vectors.stream.key))))
        for part in vectors.stream.parts {
            var bytes = hex(part.plain)
            cipher.apply(at: part.offset, to: &bytes)
            #expect(hex(bytes) == part.sealed, "offset \(part.offset)")
        }
    }

    @Test func documents() throws {
        for vector in vectors.documents {
            let key = try #require(SecretKey(hex(vector.key)))
            #expect(hex(DocumentSeal.seal(hex(vector.document), key: key)) == vector.sealed)
            #expect(try DocumentSeal.open(hex(vector.sealed), key: key) == hex(vector.document))
        }
    }

    @Test func hashTrees() throws {
        for tree in vectors.trees {
            let hashes = (0..<tree.count).map { index in
                leafHash(Array(repeating: UInt8(index), count: 3))
            }
            #expect(HashTree.root(ofLeafHashes: hashes).hex == tree.root)
            for proof in tree.proofs {
                let range = proof.lower..<proof.upper
                let nodes = HashTree.rangeProof(leafHashes: hashes, range: range)
                #expect(nodes.map(\.hex) == proof.proof)
                let root = HashTree.root(
                    count: tree.count, range: range, hashes: Array(hashes[range]), proof: nodes)
                #expect(root?.hex == tree.root)
            }
        }
    }

    @Test func parity() {
        for vector in vectors.parity {
            let code = ErasureCode(dataColumns: vector.dataShards, columns: vector.groupShards)
            #expect(code.parity(of: vector.data.map { hex($0) }).map { hex($0) } == vector.parity)
        }
    }

    @Test func wholeBlobs() throws {
        for vector in vectors.blobs {
            let stream = lcg(seed: vector.seed, count: vector.storedLength)
            #expect(sha256(stream).hex == vector.storedSHA256)
            let geometry = try BlobGeometry(
                storedLength: vector.storedLength, dataShards: vector.dataShards,
                groupShards: vector.groupShards, rowsPerGroup: vector.rowsPerGroup)
            let key = KeyDerivation.blobKey(storedSHA256: sha256(stream), geometry: geometry)
            #expect(hex(key.bytes) == vector.blobKey)
            let pipeline = BlockPipeline(geometry: geometry, blobKey: key)
            var builder = TreeBuilder(geometry: geometry)
            for row in (0..<geometry.rowCount).map({ RowIndex($0) }) {
                let part = Array(stream[pipeline.streamRange(of: row)])
                builder.add(pipeline.sealRow(row, stream: part))
            }
            let descriptor = builder.descriptor()
            #expect(descriptor.shardRoots.map(\.hex) == vector.shardRoots)
            #expect(hex(descriptor.serialized()) == vector.descriptor)
            let relayKey = KeyDerivation.relayKey(of: key)
            let sealed = SealedDescriptor.seal(descriptor, relayKey: relayKey)
            #expect(hex(sealed.bytes) == vector.sealedDescriptor)
            #expect(sealed.id.hex == vector.blobID)
            let opened = try SealedDescriptor.open(
                sealed.bytes, relayKey: relayKey, expecting: sealed.id)
            #expect(opened == descriptor)
            let record = FileRecord(
                size: stream.count, sha256: sha256(stream),
                frames: try FrameTable(size: stream.count, codec: .raw, lengths: []),
                blobID: sealed.id, blobKey: key, storedSHA256: sha256(stream))
            #expect(record.isPublic(in: geometry))
            #expect(hex(record.serialized()) == vector.fileRecord)
        }
    }

    @Test func records() throws {
        for vector in vectors.records {
            let codec = try #require(FrameCodec(rawValue: vector.codec))
            let record = FileRecord(
                size: vector.size, sha256: try #require(Digest(hex: vector.sha256)),
                frames: try FrameTable(
                    size: vector.size, codec: codec, lengths: vector.frameLengths),
                blobID: try #require(Digest(hex: vector.blobID)),
                blobKey: try #require(SecretKey(hex(vector.blobKey))),
                storedSHA256: Digest(hex: vector.storedSHA256))
            #expect(hex(record.serialized()) == vector.record)
            #expect(try FileRecord(parsing: hex(vector.record)) == record)
        }
        #expect(vectors.records.map(\.storedSHA256.isEmpty) == [false, true])
    }

    @Test func messagesThatAskForRecords() throws {
        for vector in vectors.getRecords {
            let message = ControlMessage.getRecord(
                request: vector.request, sha256: try #require(Digest(hex: vector.sha256)))
            #expect(hex(message.serialized()) == vector.message)
            #expect(try ControlMessage(parsing: hex(vector.message)) == message)
        }
    }

    @Test func manifests() throws {
        for vector in vectors.manifests {
            let record = try FileRecord(parsing: hex(vectors.blobs[0].fileRecord))
            let manifest = try tinyManifest(record)
            #expect(hex(manifest.serialized()) == vector.body)
            let signer = try SigningIdentity(seed: hex(vector.signingSeed))
            #expect(hex(signer.publicKey) == vector.publisher)
            #expect(hex(signer.sign(SignedInner.domain + hex(vector.body))) == vector.signature)
            let sealed = try ManifestSealing.seal(
                manifest, signer: signer, readKey: SecretKey(hex(vector.givenReadKey)))
            #expect(hex(sealed.readKey.bytes) == vector.readKey)
            #expect(hex(sealed.bytes) == vector.sealed)
            #expect(sealed.id.hex == vector.manifestID)
            let link = sealed.link(name: "tiny model", peers: ["192.0.2.1:7000"])
            #expect(link.text == vector.link)
            #expect(try ModelLink(parsing: vector.uncheckedLink).core == link.core)
            #expect(sealed.relayCap().text == vector.relayCap)
            let opened = try ManifestSealing.openInner(
                sealed.bytes, readKey: sealed.readKey, id: sealed.id)
            #expect(opened.manifest == manifest)
            #expect(hex(opened.publisher) == vector.publisher)
        }
    }
}

/// Goal: the wrappers call what they are meant to call.
///
/// Method: vectors that the documents of the algorithms publish. (XChaCha20's own need a nonce,
/// which we do not have; check_vectors.py tries its second implementation on them, and that one
/// makes the vectors above.)
@Suite struct OfficialVectorTests {
    @Test func fips180() {
        #expect(
            sha256(Array("abc".utf8)).hex
                == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
    }

    /// The reference tree of Certificate Transparency (RFC 6962 and RFC 9162).
    @Test func certificateTransparencyTree() {
        let leaves = [
            "", "00", "10", "2021", "3031", "40414243", "5051525354555657",
            "606162636465666768696a6b6c6d6e6f",
        ].map { leafHash(hex($0)) }
        let roots = [
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
            "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
            "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
        ]
        for (count, root) in roots.enumerated() {
            #expect(HashTree.root(ofLeafHashes: Array(leaves[..<count])).hex == root)
        }
    }

    /// RFC 8032, 7.1, tests 1 and 2.
    @Test func ed25519() throws {
        let first = try SigningIdentity(
            seed: hex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"))
        #expect(
            hex(first.publicKey)
                == "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
        #expect(
            hex(first.sign([]))
                == "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555"
                + "fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b")
        let second = try SigningIdentity(
            seed: hex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"))
        #expect(
            hex(second.sign([0x72]))
                == "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da0"
                + "85ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00")
    }

    /// RFC 4648, section 10, in lower case and without padding.
    @Test(arguments: [
        ("", ""), ("f", "my"), ("fo", "mzxq"), ("foo", "mzxw6"), ("foob", "mzxw6yq"),
        ("fooba", "mzxw6ytb"), ("foobar", "mzxw6ytboi"),
    ])
    func base32(plain: String, text: String) {
        #expect(Base32.encode(Array(plain.utf8)) == text)
        #expect(Base32.decode(text) == Array(plain.utf8))
    }
}

/// The hash of a leaf given as an array.
func leafHash(_ bytes: [UInt8]) -> Digest {
    // SAFETY: a `UInt8` has no padding.
    unsafe HashTree.leafHash(bytes.span.bytes)
}

/// The manifest of the vectors.
func tinyManifest(_ record: FileRecord) throws -> ModelManifest {
    var metadata = ModelMetadata()
    metadata.version = "1.0"
    metadata.license = "Apache-2.0"
    metadata.tags = ["tiny", "test"]
    return ModelManifest(
        name: "tiny model", singleFile: false,
        entries: [
            ManifestEntry(
                path: try ModelPath("config.json"), executable: false,
                content: .inlined(Array("{\"layers\": 2}\n".utf8))),
            ManifestEntry(
                path: try ModelPath("run.sh"), executable: true,
                content: .inlined(Array("#!/bin/sh\n".utf8))),
            ManifestEntry(
                path: try ModelPath("weights/model.bin"), executable: false,
                content: .record(record)),
        ], metadata: metadata, prefetch: [2])
}
