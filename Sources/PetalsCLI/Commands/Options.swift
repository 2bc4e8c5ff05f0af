internal import ArgumentParser
internal import Foundation
internal import Logging
internal import PetalsCore
internal import ShardFetch

/// What every command takes.
struct CommonOptions: ParsableArguments {
    @Option(
        name: .customLong("state"), help: "The folder that holds this node's identity and shards.",
        completion: .directory)
    var stateFolder: String?

    @Flag(name: .shortAndLong, help: "Say more; twice for even more.")
    var verbose: Int

    @Flag(name: .shortAndLong, help: "Say only what went wrong.")
    var quiet = false

    @Option(name: .customLong("log-format"), help: "How logs look: text or json.")
    var logFormat: LogFormat = .text

    /// The state folder: the option, `PETALSFS_STATE`, or the XDG state directory.
    var state: String {
        let environment = ProcessInfo.processInfo.environment
        if let stateFolder { return stateFolder }
        if let folder = environment["PETALSFS_STATE"], !folder.isEmpty { return folder }
        if let folder = environment["XDG_STATE_HOME"], folder.hasPrefix("/") {
            return folder + "/petalsfs"
        }
        return FileManager.default.homeDirectoryForCurrentUser.path + "/.local/state/petalsfs"
    }

    /// The logger of this process; `normal` is the level when neither -v nor -q is given.
    func makeLogger(normal: Logger.Level) -> Logger {
        let level: Logger.Level =
            quiet ? .error : verbose >= 2 ? .trace : verbose == 1 ? .debug : normal
        let format = logFormat
        return Logger(label: "petalsfs") { _ in LineLogHandler(format: format, level: level) }
    }
}

/// Where a node listens and whom it dials.
struct NetworkOptions: ParsableArguments {
    /// Where a node that stays listens unless told otherwise: everywhere, on a port that is free.
    static let listenByDefault = "0.0.0.0:0"

    @Option(
        help: """
            The address to listen on, HOST:PORT; port 0 picks one. Unless given, `serve` and \
            `mount` listen on \(NetworkOptions.listenByDefault), and other commands on none.
            """)
    var listen: String?

    @Option(name: .customLong("peer"), help: "An address to dial, HOST:PORT; may be repeated.")
    var peers: [String] = []

    @Flag(help: "Do not look for peers in the local network, nor announce this node there.")
    var noLan = false

    @Flag(
        help: "Find peers in the local network only; addresses that were given are dialled still.")
    var lanOnly = false

    @Flag(help: "Do not take part in the distributed hash table.")
    var noDht = false

    @Option(
        name: .customLong("dht-bootstrap"),
        help: "A node of the hash table to begin with, HOST:PORT; may be repeated.")
    var dhtBootstrap: [String] = []

    @Option(
        name: .customLong("dht-listen"),
        help: "The UDP address for the hash table, numbers only; a free port unless given.")
    var dhtListen: String?

    @Flag(
        name: .customLong("dht-private"),
        help: "The hash table is this network's own: no public node is asked.")
    var dhtPrivate = false

    @Flag(help: "Do not ask the router to forward the port that is listened on.")
    var noPortMapping = false

    @Option(help: "The most memory for bytes on their way to readers, 256M unless given.")
    var memory: String?

    func validate() throws {
        let wantsDht = !dhtBootstrap.isEmpty || dhtListen != nil || dhtPrivate
        guard !lanOnly || (!noLan && !wantsDht) else {
            throw ValidationError("--lan-only excludes --no-lan and all --dht options")
        }
        guard !noDht || !wantsDht else {
            throw ValidationError("--no-dht excludes all other --dht options")
        }
    }

    /// How a node is to meet others.
    ///
    /// - Parameter isReachable: whether others are to reach it from outside of its network.
    func configuration(
        listenByDefault: String?, isReachable: Bool = false
    ) throws -> NodeConfiguration {
        try Usage.check {
            try read(listenByDefault: listenByDefault, isReachable: isReachable)
        }
    }

    private func read(listenByDefault: String?, isReachable: Bool) throws -> NodeConfiguration {
        var configuration = NodeConfiguration()
        if !noLan { configuration.lan = LocalNetwork.Place() }
        configuration.localOnly = lanOnly
        configuration.exchangesPeers = true
        configuration.remembersPeers = true
        if let address = listen ?? listenByDefault {
            configuration.listen = try SocketEndpoint(parsing: address)
        }
        configuration.dht = try dht(
            besides: configuration.listen, mapsPorts: isReachable && !noPortMapping)
        if let bytes = try Sizes.parse(memory, option: "--memory") {
            configuration.memory = try MemoryBudget(bytes: bytes)
        }
        for peer in peers { configuration.peers.append(try SocketEndpoint(parsing: peer)) }
        return configuration
    }

    /// How a node takes part in the hash table; nil: not at all.
    private func dht(
        besides listen: SocketEndpoint?, mapsPorts: Bool
    ) throws(PetalsError) -> DHTConfiguration? {
        guard !noDht, !lanOnly else { return nil }
        var bootstrap: [SocketEndpoint] = []
        for node in dhtBootstrap { bootstrap.append(try SocketEndpoint(parsing: node)) }
        var dht = DHTConfiguration(bootstrap: bootstrap, mapsPorts: mapsPorts)
        if dhtPrivate { dht.isPrivate = true }
        let own = listen.flatMap { IPAddress(parsing: $0.host) }
        if let dhtListen {
            dht.listen = [try SocketEndpoint(parsing: dhtListen)]
        } else if let own, own.scope == .loopback {
            // Nobody outside of this machine could reach the node.
            guard dht.isPrivate else { return nil }
            dht.listen = [SocketEndpoint(own, port: 0)]
        }
        return dht
    }
}

/// How much of the disk the cache may have.
struct CacheOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "The most that the cache may have of the disk, for example 50G.", valueName: "size"))
    var cacheSize: String?

    @Option(
        help: ArgumentHelp(
            """
            What the cache leaves free of the disk; unless given 1GiB, or 5 % of the disk where \
            that is less.
            """, valueName: "size"))
    var cacheFree: String?

    func bounds() throws -> CacheBounds {
        let size = try Sizes.parse(cacheSize, option: "--cache-size")
        guard size != 0 else {
            throw ValidationError("--cache-size takes a size above 0, for example 50G or 800MiB")
        }
        return CacheBounds(
            size: size, free: try Sizes.parse(cacheFree, option: "--cache-free"))
    }
}

/// Whose models may be opened.
struct SignatureOptions: ParsableArguments {
    @Flag(
        help: "Refuse models that no followed catalogue lists and no known publisher has signed.")
    var requireSigned = false

    @Option(
        name: .customLong("publisher"),
        help: "With --require-signed: a publisher whose models may be opened; may be repeated.")
    var publishers: [String] = []

    func validate() throws {
        guard publishers.isEmpty || requireSigned else {
            throw ValidationError("--publisher says something only together with --require-signed")
        }
    }

    /// The rules that were asked for; nil for none.
    func rules() throws -> SignatureRules? {
        requireSigned ? try Usage.check { try SignatureRules(publishers: publishers) } : nil
    }
}

/// Sizes on the command line.
enum Sizes {
    /// The number of bytes that an option gives.
    static func parse(_ text: String?, option: String) throws -> Int? {
        guard let text else { return nil }
        guard let size = ByteCount(parsing: text) else {
            throw ValidationError(
                "\(option) takes a size, for example 50G or 800MiB, not “\(text)”")
        }
        return size.bytes
    }
}

/// For commands that print facts.
struct OutputOptions: ParsableArguments {
    @Flag(help: "Print one JSON document.")
    var json = false
}

extension LogFormat: ExpressibleByArgument {}
