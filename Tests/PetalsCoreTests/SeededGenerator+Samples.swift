import PetalsCore
import PetalsTesting
import Testing

extension SeededGenerator {
    /// A digest.
    mutating func digest() -> Digest {
        Digest(words: (next(), next(), next(), next()))
    }

    /// A key.
    mutating func key() throws -> SecretKey {
        try #require(SecretKey(bytes(SecretKey.byteCount)))
    }

    /// A topic.
    mutating func topic() throws -> Topic {
        try #require(Topic(bytes(Topic.byteCount)))
    }
}
