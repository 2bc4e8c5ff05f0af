internal import Foundation
internal import PetalsCore
internal import PetalsStore
internal import ShardFetch

extension NodeService {
    /// What the books of credit say, of the running node or as they were kept.
    func credits() throws(PetalsError) -> CreditStatus {
        var names: [BlobID: String] = [:]
        for model in try store.registry.models() {
            for blob in try store.registry.blobs(ofModel: model.name) {
                names[blob.blobID] = model.name
            }
        }
        if let node { return try node.creditStatus(names: names) }
        return try CreditStatus.kept(
            in: store.registry, of: identity.peerID, names: names,
            at: Int(Date().timeIntervalSince1970))
    }
}
