internal import ArgumentParser
internal import Foundation
internal import Logging
internal import PetalsCore
internal import PetalsFS
internal import PetalsStore
internal import ShardFetch

/// The command `petalsfs serve`.
struct Serve: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Runs a node without a mount: serves what it holds.",
        discussion: """
            With --donate it holds shards of models for others without being able to read them: \
            those of the relay caps that are given now or were before, and those that followed \
            catalogues list. It chooses what is \
            rarest, makes again what nobody has any more, checks what its peers claim to hold, \
            and stays within the size. `petalsfs rm` ends it for a model.
            """)

    @Argument(help: "Relay caps or links of models to donate to.")
    var models: [String] = []

    @OptionGroup var network: NetworkOptions

    @Option(
        help: ArgumentHelp(
            "The most disk for shards that this node holds for others, for example 50G.",
            valueName: "size"))
    var donate: String?

    @Option(help: "A file with relay caps of models to donate to, one a line.")
    var relayCaps: String?

    @Option(
        name: .customLong("follow"),
        help: "A catalogue to follow, as `petalsfs catalog follow` does; may be repeated.")
    var catalogues: [String] = []

    @OptionGroup var cache: CacheOptions
    @OptionGroup var uploads: UploadOptions
    @OptionGroup var common: CommonOptions

    func run() async throws {
        var bounds = try cache.bounds()
        bounds.donated = try Sizes.parse(donate, option: "--donate")
        bounds.chooses = bounds.donated != nil
        guard bounds.chooses || models.isEmpty && relayCaps == nil else {
            throw ValidationError("relay caps are for --donate SIZE; `petalsfs hold` needs none")
        }
        bounds.donatedModels = try Usage.check { try DonatedModels.parse(models) }
        for catalogue in catalogues {
            _ = try Usage.check("--follow") { try CatalogueLink(parsing: catalogue) }
        }
        if let relayCaps { bounds.donatedModels += try DonatedModels.read(relayCaps) }
        var node = try network.configuration(
            listenByDefault: NetworkOptions.listenByDefault, isReachable: true)
        node.uploads = try uploads.schedule()
        let runner = NodeRunner(
            statePath: common.state, logger: common.makeLogger(normal: .info), bounds: bounds,
            network: node)
        try await runner.run(clearCache: false) { service in
            for catalogue in catalogues {
                _ = try await service.perform(
                    .catalogue(.follow(link: catalogue, peers: network.peers)),
                    progress: { _, _ in })
            }
            let address = service.node?.listening?.description ?? "nowhere"
            Terminal.print("listening on \(address)")
            await Signals.waitForEnd()
        }
    }
}

/// The command `petalsfs hold`.
struct Hold: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Fetches shards of a model and keeps them, without being able to read them.",
        discussion: "Interrupted, it goes on where it was when it is run again.")

    @Argument(help: "The relay cap, or the link; - reads it from standard input.")
    var link: String

    @Option(help: "Which shards of each group, for example 0,3,7; all unless given.")
    var shards: String?

    @OptionGroup var network: NetworkOptions
    @OptionGroup var uploads: UploadOptions
    @OptionGroup var output: OutputOptions
    @OptionGroup var common: CommonOptions

    func run() async throws {
        var chosen: [Int]?
        if let shards {
            let numbers = shards.split(separator: ",").map { Int($0) }
            let valid = numbers.compactMap { $0 }.filter {
                (0..<Limits.groupShardsMax).contains($0)
            }
            guard !valid.isEmpty, valid.count == numbers.count else {
                throw ValidationError(
                    "--shards takes numbers from 0 to \(Limits.groupShardsMax - 1), for example "
                        + "0,3,7")
            }
            chosen = valid
        }
        let text = try Output.link(link)
        _ = try Usage.check { try ModelLink(parsing: text) }
        let conductor = Conductor(
            options: common, network: try network.temporary(uploads),
            title: "fetching")
        let request = ControlRequest.HoldRequest(
            link: text, shards: chosen, peers: network.peers)
        let result = try await conductor.perform(.hold(request))
        guard case .held(let model) = result else { throw ControlResult.unexpected }
        if output.json { return try Output.printJSON(model) }
        Terminal.print(
            "\(model.name): \(counted(model.shards, "shard")) of "
                + "\(counted(model.blobs, "blob")), "
                + "\(ByteCount(model.bytes))")
    }
}

/// The command `petalsfs mount`.
struct Mount: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Runs a node and shows the registered models in a directory.",
        discussion: """
            Prints “ready” when the mount answers. Ends when it is unmounted, on SIGINT and on \
            SIGTERM; the cache is then cleared.
            """)

    @Argument(help: "The directory; it must exist and be empty.", completion: .directory)
    var directory: String

    @Argument(help: "Links of models to register first.")
    var links: [String] = []

    @OptionGroup var network: NetworkOptions

    @Option(name: .customShort("o"), help: "Mount options, for example allow_other.")
    var mountOptions: [String] = []

    @Option(help: "Seconds that a read may wait for its bytes before it fails.")
    var readTimeout: Double = 600

    @OptionGroup var cache: CacheOptions
    @OptionGroup var signatures: SignatureOptions
    @OptionGroup var uploads: UploadOptions

    @Flag(help: "Keep the cache when unmounted.")
    var keepCache = false

    @Flag(help: "Return when the mount is ready, and go on in the background.")
    var background = false

    @OptionGroup var common: CommonOptions

    func run() async throws {
        guard readTimeout > 0, readTimeout < 1e7 else {
            throw ValidationError("--read-timeout takes a number of seconds above 0")
        }
        let logger = common.makeLogger(normal: .info)
        let options = try Usage.check { try MountOptions(parsing: mountOptions) }
        let bounds = try cache.bounds()
        let rules = try signatures.rules()
        var node = try network.configuration(listenByDefault: NetworkOptions.listenByDefault)
        node.uploads = try uploads.schedule()
        // Before anything is opened: the commonest mistakes are about links and the directory.
        for link in links { _ = try Usage.check { try NodeService.readLink(link) } }
        if background { return try Background.relaunch() }
        let point = try MountPoint.prepare(directory, options: options, logger: logger)
        let runner = NodeRunner(
            statePath: common.state, logger: logger, bounds: bounds, network: node)
        try await runner.run(clearCache: !keepCache) { service in
            if let rules { service.requireSigned(rules) }
            try await MountRun(
                service: service, point: point, options: options, readTimeout: readTimeout,
                links: links
            ).run()
        }
    }
}

/// The command `petalsfs umount`.
struct Unmount: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "umount", abstract: "Unmounts a directory and waits until its node is gone.")

    @Argument(help: "The directory.", completion: .directory)
    var directory: String

    @OptionGroup var common: CommonOptions

    func run() async throws {
        let holder = try StateFolder.holder(of: common.state)
        // The node of this state folder may serve another directory: it is then not going to end.
        let ends = holder == nil ? false : await isServing(directory)
        guard ends else { return try MountPoint.unmount(directory) }
        // The node itself severs the files that are open, which would else keep it.
        let client = ControlClient(socketPath: common.state + "/control.sock")
        do {
            _ = try await client.perform(.unmount, progress: { _, _ in })
        } catch {
            try unmountUnlessGone()
        }
        // Ten seconds are more than a node that ends takes.
        for _ in 0..<200 where try StateFolder.holder(of: common.state) == holder {
            try await Task.sleep(for: .milliseconds(50))
        }
    }

    /// A node may have done what it was asked and ended before its answer was on the way.
    private func unmountUnlessGone() throws(PetalsError) {
        do throws(PetalsError) {
            try MountPoint.unmount(directory)
        } catch {
            if error.code != .notFound { throw error }
        }
    }

    private func isServing(_ directory: String) async -> Bool {
        let client = ControlClient(socketPath: common.state + "/control.sock")
        // A node that does not answer any more is ending.
        guard let result = try? await client.perform(.status, progress: { _, _ in }),
            case .status(let status) = result, let mount = status.mount
        else { return true }
        let path = URL(fileURLWithPath: directory).resolvingSymlinksInPath().path
        return mount == path
    }
}

/// The command `petalsfs status`.
struct Status: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Shows the running node and the store.")

    @Flag(help: "Show it again every second.")
    var watch = false

    @OptionGroup var output: OutputOptions
    @OptionGroup var common: CommonOptions

    func run() async throws {
        repeat {
            let result = try await Conductor(options: common).perform(.status)
            guard case .status(let status) = result else { throw ControlResult.unexpected }
            if output.json { try Output.printJSON(status) } else { show(status) }
            if watch { try await Task.sleep(for: .seconds(1)) }
        } while watch
    }

    private func show(_ status: StatusSummary) {
        guard status.exists else {
            return Terminal.print("state    \(status.state), which does not exist yet")
        }
        Terminal.print("state    \(status.state), \(counted(status.models, "model"))")
        let classes = status.store.filter { $0.value > 0 }.sorted { $0.key < $1.key }
            .map { "\($0.key) \(ByteCount($0.value))" }
        Terminal.print("store    \(classes.isEmpty ? "empty" : classes.joined(separator: ", "))")
        let limit = status.cacheSize.map { "\(ByteCount($0))" } ?? "what the disk has"
        Terminal.print("cache    \(ByteCount(status.store["cached"] ?? 0)) of \(limit)")
        if let free = status.diskFree {
            Terminal.print(
                "disk     \(ByteCount(free)) free, of which the cache leaves "
                    + "\(ByteCount(status.cacheFree))")
        }
        if let donation = status.donation { show(donation) }
        for name in status.wrongModels {
            Terminal.print("damaged  \(name) is not the file of its SHA-256")
        }
        for catalogue in status.catalogues {
            Terminal.print(
                "catalog  \(catalogue.title): \(catalogue.state), "
                    + "\(counted(catalogue.models, "model")), "
                    + "sequence \(catalogue.sequence)"
                    + (catalogue.refused.map { "; a head was refused: \($0)" } ?? ""))
        }
        for file in status.changedFiles { Terminal.print("changed  \(file.text)") }
        guard let node = status.node else { return Terminal.print("node     not running") }
        if let mount = status.mount { Terminal.print("mount    \(mount)") }
        Terminal.print("node     \(node.peerID)")
        Terminal.print("listen   \(node.listen ?? "no")")
        Terminal.print(
            "traffic  \(ByteCount(node.fetchedBytes)) fetched, "
                + "\(ByteCount(node.hedgedBytes)) asked twice, "
                + "\(ByteCount(node.servedBytes)) served, "
                + "\(counted(node.rebuiltCells, "cell")) rebuilt, "
                + "\(counted(node.damagedLeaves, "leaf", "leaves")) damaged")
        Terminal.print("upload   \(node.upload.text)")
        for file in status.waiting {
            Terminal.print(
                "waiting  \(counted(file.reads, "read")) of \(file.name): \(file.lacks)")
        }
        for model in status.waitingManifests {
            Terminal.print("waiting  the manifest of \(model.name): \(model.lacks)")
        }
        for waiter in node.upload.waiters { Terminal.print("waits    \(waiter.text)") }
        Terminal.print(
            "memory   \(ByteCount(node.memoryHot)) waiting to be read, "
                + "\(ByteCount(node.memoryUnderWay)) under way, of \(ByteCount(node.memoryLimit))")
        showNetwork(node)
    }

    /// Where peers come from, and those that are connected.
    private func showNetwork(_ node: NodeStatus) {
        for source in node.sources {
            Terminal.print(
                "source   \(source.origin): \(source.known) known, \(source.dialled) dialled, "
                    + "\(source.connected) connected")
        }
        if let dht = node.dht {
            Terminal.print(
                "dht      \(counted(dht.nodes, "node")) known, at "
                    + dht.listen.joined(separator: " and ")
                    + (dht.mappedPort.map { "; the router forwards port \($0)" } ?? ""))
        }
        for peer in node.peers {
            Terminal.print(
                "peer     \(PeerID.label(of: peer.id)) \(peer.dialled ? "at" : "from") "
                    + peer.address + (peer.origin.map { ", \($0)" } ?? ""))
        }
    }

    private func show(_ donation: DonationStatus) {
        Terminal.print(
            "donation \(ByteCount(donation.used)) of \(ByteCount(donation.quota)) in "
                + "\(counted(donation.shards, "shard")), "
                + "\(donation.coming.count) on the way, "
                + "\(donation.rebuilt) rebuilt, \(donation.dropped) dropped")
        Terminal.print(
            "         \(counted(donation.groups, "group")) of "
                + "\(counted(donation.blobs, "blob")), "
                + "\(donation.thinCount) under-replicated; "
                + "\(counted(donation.audits, "check")) of what peers claim, "
                + "\(donation.auditsPassed) passed")
        for group in donation.thin {
            Terminal.print(
                "thin     blob \(group.blob.prefix(8)) group \(group.group): "
                    + "\(group.available) of \(counted(group.shards, "shard")) there, "
                    + "\(group.needed) needed; \(group.spread) at peers of their own")
        }
    }
}
