package import PetalsCore
internal import PetalsStore
internal import Synchronization

extension Node {
    /// Begins to hold shards of blobs for others, as `Donor` says; once, after `start()`.
    ///
    /// - Parameters:
    ///   - rules: the numbers of the policy; tests try others.
    ///   - topicTurnSeconds: how often other topics have their turn where there are more than a
    ///     connection may have.
    package func startDonating(
        rules: DonationPlan.Rules = .init(), topicTurnSeconds: Instant = 20
    ) -> Donor {
        let donor = Donor(node: self, rules: rules, topicTurnSeconds: topicTurnSeconds)
        router.connect(donor: donor)
        donor.start()
        return donor
    }

    /// Lets a donor hold shards of a blob; waits until its descriptor is here.
    ///
    /// - Throws: as `open`.
    package func donate(
        to id: BlobID, relayKey: SecretKey, as donor: Donor
    ) async throws(PetalsError) {
        donor.add(try await open(id, relayKey: relayKey))
    }

    /// How the node's memory is shared out.
    var memory: MemoryBudget { configuration.memory }
}
