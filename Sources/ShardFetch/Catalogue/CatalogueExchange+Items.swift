internal import Logging
internal import NIOPosix
internal import PetalsCodec
internal import PetalsCore
internal import PetalsStore
internal import Synchronization

// Heads in the DHT (BEP 44): for followers that meet nobody who has heard.
//
// The item of a catalogue lies under the key that signs it. Where that is a delegate's, the item
// under the owner's key names the delegate; the owner signs it once, with the delegation, and can
// stay offline. Both items can be stored again by whoever has them, and all who follow do.

extension CatalogueExchange {
    /// Calls `observer` now and whenever there are other items to store or to look for.
    func observeItems(
        _ observer: @escaping @Sendable ([MutableItem], Set<ItemSchedule.Name>) -> Void
    ) {
        state.withLock { $0.itemObserver = observer }
        tellItems()
    }

    /// Says which items are to be stored and looked for.
    func tellItems() {
        let (heads, delegations, observer) = state.withLock { state in
            (state.known, state.delegations, state.itemObserver)
        }
        guard let observer else { return }
        var puts: [MutableItem] = []
        var gets: Set<ItemSchedule.Name> = []
        for (id, checked) in heads {
            var keys = [id]
            if let head = checked?.signed {
                keys.append(head.signer)
                if let item = CatalogueItem.head(head).item { puts.append(item) }
            }
            for delegation in [checked?.signed.delegation, delegations[id]].compactMap({ $0 }) {
                keys.append(delegation.delegation.delegate)
                let content = CatalogueItem.delegation(delegation)
                if CatalogueSigning.hasSoundItem(content), let item = content.item {
                    puts.append(item)
                }
            }
            let salt = CatalogueItem.salt(id)
            for key in keys { gets.insert(.init(key: key.bytes, salt: salt)) }
        }
        observer(puts, gets)
    }

    /// Looks at an item that the DHT gave.
    func hear(_ item: MutableItem) {
        pool.submit { [self] poolState in
            guard case .active = poolState else { return }
            let id = state.withLock { state in
                state.known.keys.first { CatalogueItem.salt($0) == item.salt }
            }
            guard let id else { return }
            do throws(PetalsError) {
                let content = try CatalogueItem(value: item.value)
                guard content.owner == id, content.key.bytes == item.key else { return }
                switch content {
                case .head(var head):
                    head.itemSignature = item.signature
                    hear(head.serialized(), of: id, from: nil)
                case .delegation(var delegation):
                    delegation.itemSignature = item.signature
                    try hear(delegation, of: id)
                }
            } catch {
                logger.debug("an item of the DHT is no catalogue's: \(error.message)")
            }
        }
    }

    private func hear(_ delegation: SignedDelegation, of id: CatalogueID) throws(PetalsError) {
        try CatalogueSigning.check(delegation, of: id, now: time())
        let isNews = state.withLock { state in
            let issue = state.delegations[id]?.delegation.issue ?? -1
            let known = (state.known[id] ?? nil)?.head.issue ?? -1
            guard delegation.delegation.issue > issue, delegation.delegation.issue >= known
            else { return false }
            state.delegations[id] = delegation
            return true
        }
        if isNews { tellItems() }
    }
}
