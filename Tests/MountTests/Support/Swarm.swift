internal import Foundation
internal import Glibc

/// A published model whose publisher is gone, and the relays that hold it.
///
/// Unless a test wants otherwise: 4 MB in two data shards and two parity shards, one on each of
/// four relays. Any two of them are enough, one is not.
struct Swarm {
    let world: World
    /// The file or folder that was published.
    let source: String
    let report: PublishReport
    /// States of the relays; relay `r` holds the shards of `parts[r]`.
    let parts: [String]

    var name: String { report.name }

    /// Publishes, lets relays fetch their parts, and stops the publisher.
    static func make(
        _ world: World, source: String? = nil, shards: String = "2/4",
        parts: [String] = ["0", "1", "2", "3"], more: [String] = []
    ) async throws -> Swarm {
        let path: String
        if let source { path = source } else { path = try await Samples.noise(world, "model.gguf") }
        let publish =
            ["petalsfs", "publish", path, "--json", "--shards", shards]
            + ["--state", world.path("publisher")] + more
        let report = try await world.start(publish).finish().decode(PublishReport.self)
        let swarm = Swarm(world: world, source: path, report: report, parts: parts)
        let publisher = try await world.serve("publisher")
        let holds = try parts.indices.map { relay in
            try world.start(
                [
                    "petalsfs", "hold", "-", "--shards", parts[relay], "--peer", publisher.address,
                    "--state", world.path(swarm.state(relay)), "-vv",
                ], name: "hold-\(relay)", input: report.relay)
        }
        for hold in holds { _ = try await hold.finish().succeeded() }
        publisher.child.send(SIGTERM)
        _ = try await publisher.child.finish().succeeded()
        return swarm
    }

    func state(_ relay: Int) -> String { "relay\(relay)" }

    /// Starts one relay, at the address that it had before where one is given.
    func serve(_ relay: Int, at address: String = "127.0.0.1:0") async throws -> Relay {
        try await world.serve(state(relay), at: address)
    }

    /// Starts relays.
    func serve(_ relays: [Int]) async throws -> [Relay] {
        var started: [Relay] = []
        for relay in relays { started.append(try await serve(relay)) }
        return started
    }

    /// Mounts the model on a fifth node.
    func mount(
        _ relays: [Relay], state: String = "reader", _ more: [String] = []
    ) async throws -> Mounted {
        try await world.mount(state, [report.link], peers: relays.map(\.address), more)
    }
}

/// Files to publish; the same ones on every run.
enum Samples {
    /// A file that no codec shrinks, whose length is a multiple of nothing.
    static func noise(
        _ world: World, _ name: String, bytes: Int = 4_000_037, seed: Int = 1
    ) async throws -> String {
        try await write(world, name, "random.Random(\(seed)).randbytes(\(bytes))")
    }

    /// A file that LZ4 shrinks.
    static func text(_ world: World, _ name: String, lines: Int) async throws -> String {
        try await write(
            world, name, #"b"".join(b"line %d of a tokenizer\n" % i for i in range(\#(lines)))"#)
    }

    /// Weights as in a safetensors file: a header and numbers around zero.
    static func weights(
        _ world: World, _ name: String, type: WeightType, count: Int
    ) async throws -> String {
        let numbers = "array.array('f', (r.gauss(0, 0.03) for _ in range(\(count)))).tobytes()"
        let data =
            switch type {
            case .float32: "d"
            case .bfloat16: "bytes(b for i in range(2, len(d), 4) for b in d[i:i + 2])"
            }
        return try await write(
            world, name,
            """
            (lambda d: (lambda d, h: len(h).to_bytes(8, 'little') + h + d)(\(data), \
            b'{"weight":{"dtype":"\(type.rawValue)","shape":[\(count)]}}'))\
            ((lambda r: \(numbers))(random.Random(7)))
            """)
    }

    enum WeightType: String, CaseIterable, Sendable {
        case float32 = "F32"
        case bfloat16 = "BF16"
    }

    private static func write(
        _ world: World, _ name: String, _ expression: String
    ) async throws -> String {
        let path = world.path(name)
        let program = "import array,random,sys; open(sys.argv[1],'wb').write(\(expression))"
        _ = try await world.python(program, path).succeeded()
        return path
    }
}
