package import PetalsCore

/// Who paid this node for what lately: whether replication of it earns anything, and whose wishes a
/// donor follows.
///
/// Junk is rare by construction, so rarity alone must never pay: copies for keeping are free, made
/// of what is idle, unless two peers with funds asked for the same group and paid within a day. And
/// only what such a peer paid for is demand: to wish costs nothing.
package struct DemandBook: Sendable {
    /// A group of a blob.
    package struct Group: Hashable, Sendable {
        package let blob: BlobID
        package let number: Int

        package init(_ blob: BlobID, _ number: Int) {
            self.blob = blob
            self.number = number
        }
    }

    /// Peers with funds that have to have paid.
    package static let payersWanted = 2
    /// Within how many seconds they have to.
    package static let paidSeconds = 86_400
    /// What replication of a group in demand pays: half.
    package static let replicationPrice = CreditTerms.basePrice / 2
    /// Groups that are kept, and payers of one.
    static let groupsMax = 1 << 16
    static let payersMax = 8

    private var payers: [Group: [PeerID: Int]] = [:]

    package init() {}

    /// A peer was sent bytes of a group.
    ///
    /// - Parameter price: mills for 1 KiB.
    /// - Returns: whether that counts as demand.
    package mutating func sent(
        _ group: Group, to peer: PeerID, standing: CreditStanding, price: Int, at seconds: Int
    ) -> Bool {
        guard standing.tier == .funded, price > 0 else { return false }
        if payers[group] == nil, payers.count >= Self.groupsMax { trim(at: seconds) }
        guard payers[group] != nil || payers.count < Self.groupsMax else { return true }
        if payers[group]?[peer] == nil, payers[group]?.count ?? 0 >= Self.payersMax {
            payers[group] = payers[group]?.filter { $0.value > seconds - Self.paidSeconds }
        }
        if payers[group]?[peer] != nil || payers[group]?.count ?? 0 < Self.payersMax {
            payers[group, default: [:]][peer] = seconds
        }
        return true
    }

    private mutating func trim(at seconds: Int) {
        for (group, known) in payers {
            let left = known.filter { $0.value > seconds - Self.paidSeconds }
            payers[group] = left.isEmpty ? nil : left
        }
    }

    /// Mills for 1 KiB that is copied in order to keep it; 0 where it is free.
    package func replicationPrice(of group: Group, at seconds: Int) -> Int {
        let recent = payers[group]?.values.count { $0 > seconds - Self.paidSeconds } ?? 0
        return recent >= Self.payersWanted ? Self.replicationPrice : 0
    }
}
