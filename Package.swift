// swift-tools-version: 6.2
//
// The house (docs/ARCHITECTURE.md). Dependencies point one way:
// Core <- Codec, Core <- Store, {Core, Codec, Store} <- ShardFetch <- PetalsFS <- PetalsCLI.
// TidyTests hold the sources to that, so that a wrong import fails a test and not a review.

import PackageDescription

/// What every Swift target of this package is compiled with.
///
/// There are no package-wide defaults (SE-0540 is in review), so each target names this list.
let strict: [SwiftSetting] = [
    .strictMemorySafety(),
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
]

/// The macros that libtorrent 2.0 was built with.
///
/// `pkg-config --cflags libtorrent-rasterbar` has them, and SwiftPM passes on only the paths of a
/// pkg-config file; scripts/setup compares them.
let libtorrent = [
    "TORRENT_LINKING_SHARED", "BOOST_ASIO_ENABLE_CANCELIO", "BOOST_ASIO_NO_DEPRECATED",
    "TORRENT_USE_OPENSSL", "TORRENT_USE_LIBCRYPTO", "TORRENT_SSL_PEERS", "OPENSSL_NO_SSL2",
    "BOOST_ALL_NO_LIB",
]

/// SHA-256 in lanes, a library that is there for x86 alone; elsewhere leaves are hashed one by one.
#if arch(x86_64)
    let lanes: [Target.Dependency] = ["CIPSecMB"]
#else
    let lanes: [Target.Dependency] = []
#endif

let nio: [Target.Dependency] = [
    .product(name: "NIOCore", package: "swift-nio"),
    .product(name: "NIOPosix", package: "swift-nio"),
    .product(name: "NIOSSL", package: "swift-nio-ssl"),
    .product(name: "NIOTLS", package: "swift-nio"),
]
let crypto: Target.Dependency = .product(name: "Crypto", package: "swift-crypto")
let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")

let package = Package(
    name: "petalsfs",
    products: [.executable(name: "petalsfs", targets: ["PetalsCLI"])],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser.git", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-asn1.git", from: "1.7.0"),
        .package(url: "https://github.com/apple/swift-certificates.git", from: "1.21.0"),
        .package(url: "https://github.com/apple/swift-collections.git", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-crypto.git", from: "4.5.0"),
        .package(url: "https://github.com/apple/swift-log.git", from: "1.16.0"),
        .package(url: "https://github.com/apple/swift-nio.git", from: "2.101.0"),
        .package(url: "https://github.com/apple/swift-nio-ssl.git", from: "2.37.0"),
        .package(url: "https://github.com/apple/swift-protobuf.git", from: "1.39.0"),
        .package(url: "https://github.com/groue/GRDB.swift.git", from: "7.10.0"),
        .package(url: "https://github.com/hummingbird-project/hummingbird.git", from: "2.28.0"),
        .package(url: "https://github.com/swift-server/async-http-client.git", from: "1.37.0"),
        .package(
            url: "https://github.com/swift-server/swift-service-lifecycle.git", from: "2.13.0"),
    ],
    targets: [
        // MARK: C libraries, as Debian ships them; one Swift wrapper names each.
        .systemLibrary(name: "CFuse3", pkgConfig: "fuse3", providers: [.apt(["libfuse3-dev"])]),
        .systemLibrary(
            name: "CSodium", pkgConfig: "libsodium", providers: [.apt(["libsodium-dev"])]),
        .systemLibrary(name: "CLZ4", pkgConfig: "liblz4", providers: [.apt(["liblz4-dev"])]),
        .systemLibrary(name: "CBlosc", pkgConfig: "blosc", providers: [.apt(["libblosc-dev"])]),
        .systemLibrary(name: "CISAL", pkgConfig: "libisal", providers: [.apt(["libisal-dev"])]),
        .systemLibrary(
            name: "COpenSSL", pkgConfig: "libcrypto", providers: [.apt(["libssl-dev"])]),
        .systemLibrary(name: "CIPSecMB", providers: [.apt(["libipsec-mb-dev"])]),

        // MARK: The one library that speaks C++, behind a C header (docs/decisions/13-dht.md).
        .target(
            name: "CRendezvous",
            cxxSettings: libtorrent.map { .define($0) } + [
                .enableWarning("all"), .enableWarning("extra"), .treatAllWarnings(as: .error),
            ],
            linkerSettings: [
                .linkedLibrary("torrent-rasterbar"),
                // What libtorrent's headers call themselves.
                .linkedLibrary("crypto"),
            ]),

        // MARK: The rooms.
        .target(
            name: "PetalsCore",
            dependencies: [.product(name: "SwiftProtobuf", package: "swift-protobuf")],
            exclude: ["Protobuf/documents.proto", "Protobuf/wire.proto"],
            swiftSettings: strict),
        .target(
            name: "PetalsCodec",
            dependencies: ["PetalsCore", "CSodium", "CLZ4", "CBlosc", "CISAL", "COpenSSL", crypto]
                + lanes,
            swiftSettings: strict),
        .target(
            name: "PetalsStore",
            dependencies: [
                "PetalsCore", "PetalsCodec", logging, .product(name: "GRDB", package: "GRDB.swift"),
            ],
            swiftSettings: strict),
        .target(
            name: "ShardFetch",
            dependencies: [
                "PetalsCore", "PetalsCodec", "PetalsStore", "CRendezvous", crypto, logging,
                .product(name: "SwiftASN1", package: "swift-asn1"),
                .product(name: "X509", package: "swift-certificates"),
                .product(name: "DequeModule", package: "swift-collections"),
            ] + nio,
            swiftSettings: strict),
        .target(
            name: "PetalsFS",
            dependencies: [
                "PetalsCore", "PetalsCodec", "PetalsStore", "ShardFetch", "CFuse3", logging,
            ],
            swiftSettings: strict),
        .executableTarget(
            name: "PetalsCLI",
            dependencies: [
                "PetalsCore", "PetalsCodec", "PetalsStore", "ShardFetch", "PetalsFS", logging,
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "AsyncHTTPClient", package: "async-http-client"),
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
            ],
            swiftSettings: strict),
        .target(
            name: "PetalsTesting",
            dependencies: ["PetalsCore", "PetalsCodec", "PetalsStore", "ShardFetch", logging],
            swiftSettings: strict),
        .executableTarget(
            name: "PetalsBench",
            dependencies: [
                "PetalsCore", "PetalsCodec", "PetalsStore", "ShardFetch", "PetalsTesting",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "NIOCore", package: "swift-nio"),
            ],
            swiftSettings: strict),
        .executableTarget(
            name: "PetalsSimulation",
            dependencies: [
                "PetalsCore", "PetalsCodec", "ShardFetch", "PetalsTesting",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "DequeModule", package: "swift-collections"),
                .product(name: "HeapModule", package: "swift-collections"),
            ],
            swiftSettings: strict),

        // MARK: Tests, one target a room; SwarmTests run in virtual time or on loopback sockets,
        // MountTests with real FUSE and real processes.
        .testTarget(
            name: "PetalsCoreTests", dependencies: ["PetalsCore", "PetalsTesting"],
            swiftSettings: strict),
        .testTarget(
            name: "PetalsCodecTests", dependencies: ["PetalsCodec", "PetalsTesting", "CSodium"],
            swiftSettings: strict),
        .testTarget(
            name: "PetalsStoreTests", dependencies: ["PetalsStore", "PetalsTesting"],
            swiftSettings: strict),
        .testTarget(
            name: "ShardFetchTests", dependencies: ["ShardFetch", "PetalsTesting"] + nio,
            swiftSettings: strict),
        .testTarget(
            name: "PetalsFSTests", dependencies: ["PetalsFS", "PetalsTesting"],
            swiftSettings: strict),
        .testTarget(
            name: "SwarmTests",
            dependencies: ["ShardFetch", "PetalsTesting", "PetalsSimulation", logging] + nio,
            swiftSettings: strict),
        .testTarget(
            name: "MountTests", dependencies: ["PetalsCLI", "PetalsTesting"],
            swiftSettings: strict),
        .testTarget(name: "TidyTests", swiftSettings: strict),
    ],
    swiftLanguageModes: [.v6],
    cxxLanguageStandard: .cxx17
)
