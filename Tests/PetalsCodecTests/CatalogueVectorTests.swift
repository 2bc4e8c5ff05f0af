import Foundation
import PetalsCore
import Testing

@testable import PetalsCodec

/// The golden vectors of catalogues, which an independent program has made.
@Suite struct CatalogueVectorTests {
    private struct Vector: Decodable {
        struct Signed: Decodable {
            let signedHead: String
            let itemSequence: Int64
            let itemValue: String
        }
        struct DayTopic: Decodable {
            let day: UInt32
            let topic: String
        }
        let ownerSeed, delegateSeed, owner, link, uncheckedLink, log, root: String
        let delegation: String
        let created: Int
        let records: [String]
        let byOwner, byDelegate: Signed
        let delegationItemSequence: Int64
        let delegationItemValue, follow, news: String
        let topics: [DayTopic]
    }

    private struct File: Decodable { let catalogues: [Vector] }

    private let vectors: [Vector]

    init() throws {
        let tests = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .deletingLastPathComponent()
        let data = try Data(contentsOf: tests.appendingPathComponent("Vectors/format.json"))
        vectors = try JSONDecoder().decode(File.self, from: data).catalogues
    }

    /// The log that the vectors describe, made as a publisher makes it.
    private func log(_ vector: Vector) throws -> CatalogueLog {
        var metadata = ModelMetadata()
        metadata.version = "1.0"
        metadata.license = "Apache-2.0"
        metadata.commit = "0123abcd"
        let read = try #require(SecretKey(sha256(Array("read key".utf8)).bytes))
        let relay = try #require(SecretKey(sha256(Array("relay key".utf8)).bytes))
        var log = CatalogueLog()
        try log.append(.title("Models ü"))
        try log.append(
            .entry(
                CatalogueEntry(
                    name: "tiny.gguf", manifestID: sha256(Array("manifest".utf8)),
                    capability: .read(read), isSingleFile: true, size: 70_000,
                    sha256: sha256(Array("plaintext".utf8)), metadata: metadata,
                    addedAt: vector.created)))
        try log.append(
            .entry(
                CatalogueEntry(
                    name: "folder", manifestID: sha256(Array("another".utf8)),
                    capability: .relay(relay), isSingleFile: false, size: 1 << 40,
                    addedAt: vector.created + 1)))
        try log.append(.withdrawn("tiny.gguf"))
        return log
    }

    @Test func logsHeadsAndItems() throws {
        #expect(vectors.count == 1)
        for vector in vectors {
            let log = try log(vector)
            #expect(log.records.map { hex($0) } == vector.records)
            #expect(hex(log.serialized()) == vector.log)
            let owner = try SigningIdentity(seed: hex(vector.ownerSeed))
            let delegate = try SigningIdentity(seed: hex(vector.delegateSeed))
            let id = try #require(Digest(hex(vector.owner)))
            #expect(owner.publicKey == id.bytes)
            #expect(CatalogueLink(id: id).text == vector.link)
            #expect(try CatalogueLink(parsing: vector.uncheckedLink).id == id)
            let signed = CatalogueSigning.sign(
                log, owner: id, signer: owner, issue: 0, now: vector.created)
            try check(signed, vector.byOwner, id, vector)
            let delegation = CatalogueSigning.delegate(
                CatalogueDelegation(
                    owner: id, delegate: try #require(Digest(delegate.publicKey)),
                    issue: vector.created, notBefore: vector.created,
                    expiresAt: vector.created + 90 * 86_400), owner: owner)
            #expect(delegation.text == vector.delegation)
            #expect(try SignedDelegation(parsingText: vector.delegation) == delegation)
            let item = CatalogueItem.delegation(delegation)
            #expect(item.sequence == vector.delegationItemSequence)
            #expect(hex(item.value) == vector.delegationItemValue)
            try check(
                CatalogueSigning.sign(
                    log, owner: id, signer: delegate, delegation: delegation,
                    issue: vector.created, now: vector.created), vector.byDelegate, id, vector)
        }
    }

    private func check(
        _ signed: SignedHead, _ vector: Vector.Signed, _ id: CatalogueID, _ whole: Vector
    ) throws {
        #expect(hex(signed.serialized()) == vector.signedHead)
        #expect(signed.head.root.hex == whole.root)
        let item = CatalogueItem.head(signed)
        #expect(item.sequence == vector.itemSequence && hex(item.value) == vector.itemValue)
        #expect(CatalogueSigning.hasSoundItem(item))
        let parsed = try SignedHead(parsing: hex(vector.signedHead))
        let checked = try CatalogueSigning.check(parsed, of: id, now: whole.created)
        #expect(checked.signed == signed)
        _ = try CatalogueSigning.check(log: hex(whole.log), of: checked, knowing: nil)
    }

    @Test func topicsAndMessages() throws {
        for vector in vectors {
            let id = try #require(Digest(hex(vector.owner)))
            for topic in vector.topics {
                #expect(
                    hex(KeyDerivation.topic(ofCatalogue: id, day: topic.day).bytes) == topic.topic)
            }
            let topic = KeyDerivation.topic(ofCatalogue: id, day: 20_000)
            #expect(hex(ControlMessage.followCatalogues([topic]).serialized()) == vector.follow)
            let news = ControlMessage.catalogueNews(topic, Array("head".utf8))
            #expect(hex(news.serialized()) == vector.news)
        }
    }
}
