internal import CSodium

/// libsodium, started.
enum Sodium {
    /// Runs `sodium_init()` once; every wrapper touches it first.
    ///
    /// Before it ran, libsodium works with its slowest code (three times slower, measured) and its
    /// random numbers are not safe across threads.
    static let started: Bool = {
        // 0: started now; 1: was started before; -1: no source of random numbers. Without one
        // nothing here can be done safely, so there is nothing to fall back to.
        precondition(sodium_init() >= 0, "libsodium did not start")
        return true
    }()
}
