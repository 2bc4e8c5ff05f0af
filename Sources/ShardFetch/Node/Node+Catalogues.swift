package import PetalsCore
internal import PetalsStore
internal import Synchronization

extension Node {
    /// Begins to tell and hear of the catalogues in the registry.
    func startCatalogues() throws(PetalsError) {
        let (catalogues, registry) = (catalogues, store.registry)
        server.catalogueLog.set { digest in
            // What cannot be read now is asked of another.
            guard let id = catalogues.catalogue(withLog: digest),
                let log = try? registry.catalogueLog(of: id)
            else { return nil }
            return log.serialized()
        }
        try catalogues.reload()
        guard let dht else { return }
        dht.observeItems { catalogues.hear($0) }
        catalogues.observeItems { [weak dht] in dht?.setItems(puts: $0, gets: $1) }
    }

    /// Reads again which catalogues are followed or signed here, and their heads: after each change
    /// of the registry that did not come from peers.
    package func reloadCatalogues() throws(PetalsError) {
        try catalogues.reload()
        discovery.surveySoon()
    }

    /// Calls `observer`, from any thread, after a higher head of a catalogue was accepted from a
    /// peer, or evidence against one was kept.
    package func observeCatalogues(_ observer: @escaping @Sendable (CatalogueID) -> Void) {
        catalogues.observe(observer)
    }

    /// What peers did about a catalogue since the start; answers from memory.
    package func catalogueFacts(_ id: CatalogueID) -> CatalogueFacts { catalogues.facts(id) }
}
