/// Which room may name what.
enum Imports {
    /// What any room but PetalsCore may import: the platform.
    private static let platform: Set<String> = [
        "Dispatch", "Foundation", "Glibc", "Synchronization",
    ]

    private static let libraries: Set<String> = [
        "CBlosc", "CFuse3", "CIPSecMB", "CISAL", "CLZ4", "COpenSSL", "CRendezvous", "CSodium",
    ]

    /// Rooms and what each may import besides the platform; `NIO` stands for all of SwiftNIO.
    private static let allowed: [String: Set<String>] = [
        "PetalsCore": ["Foundation", "FoundationEssentials", "SwiftProtobuf"],
        "PetalsCodec": [
            "PetalsCore", "CSodium", "CLZ4", "CBlosc", "CISAL", "CIPSecMB", "COpenSSL", "Crypto",
        ],
        "PetalsStore": ["PetalsCore", "PetalsCodec", "GRDB", "Logging"],
        "ShardFetch": [
            "PetalsCore", "PetalsCodec", "PetalsStore", "NIO", "X509", "SwiftASN1", "Crypto",
            "DequeModule", "Logging", "CRendezvous",
        ],
        "PetalsFS": [
            "PetalsCore", "PetalsCodec", "PetalsStore", "ShardFetch", "CFuse3", "Logging",
        ],
        "PetalsTesting": ["PetalsCore", "PetalsCodec", "PetalsStore", "ShardFetch", "Logging"],
        "PetalsCLI": [
            "PetalsCore", "PetalsCodec", "PetalsStore", "ShardFetch", "PetalsFS", "Logging",
            "ArgumentParser", "AsyncHTTPClient", "HTTPTypes", "Hummingbird", "ServiceLifecycle",
            "UnixSignals", "NIO",
        ],
        "PetalsBench": [
            "PetalsCore", "PetalsCodec", "PetalsStore", "ShardFetch", "PetalsFS", "PetalsTesting",
            "ArgumentParser", "NIO",
        ],
        "PetalsSimulation": [
            "PetalsCore", "PetalsCodec", "ShardFetch", "PetalsTesting", "ArgumentParser",
            "DequeModule", "HeapModule",
        ],
    ]

    /// A library that only one folder, or one file, may name, although its room has others.
    private static let wrappers = [
        "CFuse3": "Sources/PetalsFS/Fuse/",
        "CRendezvous": "Sources/ShardFetch/Discovery/RendezvousSession.swift",
    ]

    /// The same for a library that a room has at its edge: the control client speaks NIO's
    /// vocabulary (docs/decisions/5-control-socket.md), and no other part of the program does.
    private static let edges = ["PetalsCLI": ["NIO": "Sources/PetalsCLI/Control/"]]

    /// The modules that a file imports, with their lines.
    static func modules(of file: SourceFile) -> [(name: String, line: Int)] {
        let kinds: Set<String> = [
            "struct", "class", "enum", "protocol", "func", "var", "let", "typealias",
        ]
        var modules: [(name: String, line: Int)] = []
        for (position, token) in file.tokens.enumerated() where token.text == "import" {
            var next = position + 1
            if next < file.tokens.count, kinds.contains(file.tokens[next].text) { next += 1 }
            if next < file.tokens.count { modules.append((file.tokens[next].text, token.line)) }
        }
        return modules
    }

    static func findings(_ file: SourceFile) -> [Finding] {
        guard let room = file.room else { return [] }
        return modules(of: file).compactMap { module in
            func finding(_ message: String) -> Finding {
                Finding(path: file.path, line: module.line, message: message)
            }
            guard let named = allowed[room] else {
                return finding("the room \(room) is not in the table of Imports.swift")
            }
            let name = module.name.hasPrefix("NIO") ? "NIO" : module.name
            let fromPlatform = room != "PetalsCore" && platform.contains(name)
            guard named.contains(name) || fromPlatform else {
                let what = libraries.contains(name) ? "the C library" : "the module"
                return finding("\(room) may not import \(what) \(module.name)")
            }
            if let folder = wrappers[name] ?? edges[room]?[name], !file.path.hasPrefix(folder) {
                return finding("\(module.name) may only be imported in \(folder)")
            }
            return nil
        }
    }
}
