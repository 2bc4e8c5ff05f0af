package import PetalsCore

/// In which order cells are fetched that nobody waits for: the rarest first, and by chance among
/// those that are equally rare.
///
/// When many nodes begin to fetch a new model from the one that published it, they share its
/// uplink. If all of them want the same cells in the same order, each cell leaves it once for every
/// one of them, and they have nothing to give each other. In this order what one has others lack:
/// each cell leaves the publisher little more than once, and they get the rest from each other
/// (docs/SIMULATION.md has the figures).
package struct WholeOrder: Sendable {
    /// Cells that are compared at a time: counting holders costs time, and the rarest of a random
    /// thousand is rare enough.
    static let comparedMax = 1024

    private var remaining: [CellAddress]

    /// Takes note of what is to be fetched.
    package init(_ cells: [CellAddress], using generator: inout some RandomNumberGenerator) {
        remaining = cells.shuffled(using: &generator)
    }

    /// Cells that were not handed out yet.
    package var count: Int { remaining.count }

    /// Hands out cells to be fetched now.
    ///
    /// What nobody is known to hold comes last: it has to be rebuilt from the rest of its row,
    /// which is fetched meanwhile.
    ///
    /// - Parameter holders: how many peers hold a cell.
    /// - Complexity: O(`comparedMax`) questions for holders, and O(`count`) otherwise.
    package mutating func next(
        _ wished: Int, holders: (CellAddress) -> Int
    ) -> [CellAddress] {
        let compared = remaining.prefix(max(wished, Self.comparedMax)).map { address in
            let count = holders(address)
            return (rarity: count == 0 ? Int.max : count, address: address)
        }
        // Equal ones stay in the order of chance: Swift's sort is stable, though not promised to
        // be, and nothing but fairness depends on it.
        let sorted = compared.sorted { $0.rarity < $1.rarity }.map(\.address)
        let left = remaining.dropFirst(compared.count)
        // Those that are common go to the end: the next ones to be compared are others.
        remaining = Array(left) + sorted.dropFirst(max(0, wished))
        return Array(sorted.prefix(max(0, wished)))
    }
}
