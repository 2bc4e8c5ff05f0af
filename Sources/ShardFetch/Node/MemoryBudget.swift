package import PetalsCore

/// How the memory that a node may use (`--memory`) is shared out.
///
/// It bounds what grows with use: bytes between the network and the reader. The program itself, its
/// threads and its tables come on top, some 60 MB, which no option changes.
package struct MemoryBudget: Hashable, Sendable {
    /// What was asked for, in bytes.
    package let bytes: Int

    /// The budget unless another is given: 256 MiB.
    package static let standard = MemoryBudget(unchecked: 256 << 20)
    /// Nothing stays in memory for a reader; for tests of what happens then.
    package static let none = MemoryBudget(unchecked: 0)

    /// The least that works: a row of 16 cells under way and another in memory, and a quarter of
    /// that for who else reads.
    package static let leastBytes = 64_000_000

    private init(unchecked bytes: Int) {
        self.bytes = bytes
    }

    /// Shares out so many bytes.
    ///
    /// - Throws: `PetalsError.badInput` where they are too few.
    package init(bytes: Int) throws(PetalsError) {
        guard bytes >= Self.leastBytes else {
            throw PetalsError(
                .badInput,
                "\(ByteCount(bytes)) of memory are too few; give at least "
                    + "\(ByteCount(Self.leastBytes)) with --memory")
        }
        self.bytes = bytes
    }

    /// Verified cells kept between their arrival and the read that wants them.
    package var hotBytes: Int { bytes / 64 * 5 }

    /// All read-ahead windows of all files together.
    ///
    /// What is under way and what has come and waits for its read: more would be read from disk
    /// again.
    package var readAheadBytes: Int { hotBytes + underWayBytes }

    /// Asked of peers by work that nobody waits for, and not come yet.
    package var underWayBytes: Int { bytes / 64 * 5 }
}
