internal import Glibc
internal import Logging
internal import PetalsCore
internal import PetalsStore
internal import Synchronization

// Remembered peers: whoever gave verified leaves is tried again after a restart.

extension Discovery {
    /// Takes the addresses of earlier runs into the plan.
    func recall() {
        // Whether a near address is still near is asked of this machine's interfaces.
        let networks = Self.networks()
        do throws(PetalsError) {
            let known = try node.store.registry.rememberedPeers(now: Glibc.time(nil))
            let endpoints = known.compactMap { host, port in
                IPAddress(parsing: host).map { SocketEndpoint($0, port: port) }
            }
            state.withLock { state in
                var generator = SystemRandomNumberGenerator()
                state.plan.rules.networks = networks
                state.plan.remember(endpoints, now: MonotonicClock.now, using: &generator)
            }
        } catch {
            node.logger.warning("peers of earlier runs are not known: \(error.message)")
        }
    }

    /// Writes down who has given verified leaves since the last time; blocks for the disk.
    func writeRemembered() {
        let proven = state.withLock { state in
            defer { state.toRemember = [] }
            return state.toRemember
        }
        guard !proven.isEmpty else { return }
        do throws(PetalsError) {
            try node.store.registry.remember(
                proven.map { ($0.host, $0.port) }, now: Glibc.time(nil))
        } catch {
            node.logger.warning("good peers could not be remembered: \(error.message)")
        }
    }
}
