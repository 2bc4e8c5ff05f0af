internal import Foundation
internal import PetalsCodec
internal import PetalsCore
internal import PetalsStore

/// Where the keys of catalogues' owners lie.
///
/// A key is one line of text in a file that only its owner may read, in the state folder or, for an
/// owner who stays offline, wherever he likes.
enum CatalogueKeys {
    private static let prefix = "petals-catalogue-key:"
    private static let bytesMax = 256

    /// The file of a catalogue's key in a state folder.
    static func path(of id: CatalogueID, in folder: String) -> String {
        "\(folder)/catalogue-\(Base32.encode(id.bytes)).key"
    }

    /// Makes a key and writes it to a file that does not exist yet.
    ///
    /// - Throws: `PetalsError.badInput` where there is one.
    static func make(at path: String) throws(PetalsError) -> SigningIdentity {
        guard try StateFile.read(path, bytesMax: bytesMax) == nil else {
            throw PetalsError(
                .badInput, "\(path) exists; give another name, so that no key is lost")
        }
        let key = SigningIdentity()
        try store(key, at: path)
        return key
    }

    /// Writes a key; whoever loses the file loses the catalogue.
    static func store(_ key: SigningIdentity, at path: String) throws(PetalsError) {
        try StateFile.replace(path, with: Array((prefix + Base32.encode(key.seed) + "\n").utf8))
    }

    /// The key in a file; nil where there is no file.
    ///
    /// - Throws: `PetalsError.badInput` where it is no key.
    static func read(_ path: String) throws(PetalsError) -> SigningIdentity? {
        guard let bytes = try StateFile.read(path, bytesMax: bytesMax) else { return nil }
        let text = String(decoding: bytes, as: UTF8.self)
            .trimmingCharacters(in: .whitespacesAndNewlines)
        guard text.hasPrefix(prefix), let seed = Base32.decode(text.dropFirst(prefix.count)),
            seed.count == SigningIdentity.seedBytes
        else {
            throw PetalsError(
                .badInput,
                "\(path) is not the key of a catalogue; `petalsfs catalog key` makes one")
        }
        return try SigningIdentity(seed: seed)
    }

    /// The key in a file that has to be there.
    static func require(_ path: String) throws(PetalsError) -> SigningIdentity {
        guard let key = try read(path) else {
            throw PetalsError(
                .notFound, "there is no file \(path); `petalsfs catalog key` makes one")
        }
        return key
    }
}

extension SigningIdentity {
    /// The public key as the name of a catalogue.
    var catalogueID: CatalogueID {
        guard let id = Digest(publicKey) else { preconditionFailure("a key has 32 bytes") }
        return id
    }
}
