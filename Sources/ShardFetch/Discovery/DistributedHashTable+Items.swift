internal import Logging
internal import PetalsCore
internal import Synchronization

extension DistributedHashTable {
    /// Says which items this node stores in the DHT, and which it looks for, from now on.
    func setItems(puts: [MutableItem], gets: Set<ItemSchedule.Name>) {
        state.withLock { state in
            state.items.set(puts: puts, gets: gets, now: MonotonicClock.now)
            state.wake()
        }
    }

    /// Calls `observer`, on the DHT's thread, with each item that is found; its signature is right.
    func observeItems(_ observer: @escaping @Sendable (MutableItem) -> Void) {
        state.withLock { $0.itemObserver = observer }
    }

    /// Stores or looks for what is due.
    func performItems(_ session: RendezvousSession, _ turns: inout Turns) {
        let action = state.withLock { state in
            state.items.next(
                now: MonotonicClock.now, nodes: state.status.nodes, using: &turns.generator)
        }
        switch action {
        case .put(let item):
            if !session.put(item) { logger.debug("an item does not have the form of one") }
        case .get(let name): _ = session.getItem(key: name.key, salt: name.salt)
        case nil: break
        }
    }

    func foundItem(_ item: MutableItem) {
        let observer = state.withLock { state in
            state.items.found(
                .init(key: item.key, salt: item.salt), now: MonotonicClock.now)
            return state.itemObserver
        }
        observer?(item)
    }
}
