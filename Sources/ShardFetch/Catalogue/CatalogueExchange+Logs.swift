internal import Logging
internal import NIOPosix
internal import PetalsCodec
internal import PetalsCore
internal import PetalsStore
internal import Synchronization

// From a head that counts more to the log that it names, and to what this node knows.

extension CatalogueExchange {
    /// Seconds that one peer may take to give a log.
    private static let logSecondsMax: Instant = 30
    /// Seconds before a log that nobody gave is asked for again.
    private static let retrySecondsMin = 0.2
    private static let retrySecondsMax = 30.0

    /// Fetches the log of a head, from whoever has told of it, until it is here.
    func fetch(
        _ offered: CatalogueSigning.CheckedHead, from connection: PeerConnection?
    ) {
        let digest = offered.head.logDigest
        let isFirst = state.withLock { state in
            defer { if let connection { state.fetching[digest, default: []].append(connection) } }
            guard state.fetching[digest] == nil else { return false }
            state.fetching[digest] = []
            return true
        }
        guard isFirst else { return }
        Task { [self] in
            var pause = Self.retrySecondsMin
            while let tellers = tellers(of: offered) {
                if let (bytes, teller) = await log(of: offered.head, from: tellers) {
                    await onPool { [self] in take(offered, log: bytes, from: teller) }
                    break
                }
                // Somebody who is busy or slow now may give it later; he has said that he has it.
                guard (try? await Task.sleep(for: .seconds(pause))) != nil else { break }
                pause = min(2 * pause, Self.retrySecondsMax)
            }
            state.withLock { $0.fetching[digest] = nil }
        }
    }

    /// Those who have told of a head and are still connected, the latest first; nil where there are
    /// none any more, or where the head does not count more any longer.
    ///
    /// What the DHT tells of is asked of whoever is connected.
    private func tellers(of offered: CatalogueSigning.CheckedHead) -> [PeerConnection]? {
        let named = state.withLock { state -> [PeerConnection]? in
            guard let known = state.known[offered.head.owner],
                known.map({ offered.head.isNewer(than: $0.head) }) ?? true
            else { return nil }
            let tellers = state.fetching[offered.head.logDigest] ?? []
            let open = tellers.filter { state.clients[$0.id] != nil }
            state.fetching[offered.head.logDigest] = open
            return tellers.isEmpty ? [] : open.reversed()
        }
        guard let named else { return nil }
        let tellers = named.isEmpty ? documents.connections : named
        return tellers.isEmpty ? nil : tellers
    }

    private func log(
        of head: CatalogueHead, from tellers: [PeerConnection]
    ) async -> (bytes: [UInt8], teller: PeerConnection)? {
        for connection in tellers {
            let bytes = await documents.fetch(
                head.logDigest, from: connection, bytesMax: head.logBytes,
                end: MonotonicClock.now + Self.logSecondsMax)
            if let bytes { return (bytes, connection) }
        }
        return nil
    }

    private func take(
        _ offered: CatalogueSigning.CheckedHead, log bytes: [UInt8],
        from connection: PeerConnection?
    ) {
        let id = offered.head.owner
        do throws(PetalsError) {
            let known = state.withLock { $0.known[id] ?? nil }
            let (log, extends) = try CatalogueSigning.check(
                log: bytes, of: offered, knowing: known)
            if !extends, let known {
                guard offered.head.issue > known.head.issue else {
                    return try keepEvidence(offered, log: bytes, against: known, from: connection)
                }
                logger.warning(
                    """
                    the owner of the catalogue “\(ModelPath.printable(log.title))” has replaced \
                    what was signed before: it has another log from sequence 1 on
                    """)
            }
            guard try registry.accept(offered, log: log, heardAt: time()) else { return }
            let observer = state.withLock { state in
                if state.known[id] != nil { state.known[id] = .some(offered) }
                if !log.title.isEmpty { state.names[id] = log.title }
                return state.observer
            }
            logger.info(
                """
                the catalogue “\(ModelPath.printable(log.title))” has sequence \
                \(offered.head.sequence) now, with \(counted(log.entries.count, "model"))
                """)
            tellAll()
            tellItems()
            observer?(id)
        } catch {
            refuse(id, error.message, from: connection)
        }
    }

    /// Runs what hashes and writes on a worker.
    private func onPool(_ work: @escaping @Sendable () -> Void) async {
        await withCheckedContinuation { continuation in
            pool.submit { poolState in
                if case .active = poolState { work() }
                continuation.resume()
            }
        }
    }
}
