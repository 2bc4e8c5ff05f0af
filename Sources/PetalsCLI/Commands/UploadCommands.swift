internal import ArgumentParser
internal import Foundation
internal import PetalsCore
internal import ShardFetch

/// How much of what it has a node sends.
struct UploadOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            """
            The most bytes of shards a second sent to all peers together, for example 1M or \
            800KiB; 0 for none at all.
            """, valueName: "rate"))
    var uploadLimit: String?

    @Option(
        help: ArgumentHelp(
            """
            Other limits for parts of the day in local time, for example \
            22:00-06:00=20M,06:00-18:00=none.
            """, valueName: "table"))
    var uploadTimes: String?

    func schedule() throws -> UploadSchedule {
        try Usage.check { try UploadSchedule(limit: uploadLimit, times: uploadTimes) }
    }
}

extension NetworkOptions {
    /// How the node of a command meets others that ends with its result, and what it sends
    /// meanwhile: whoever it fetches from may ask it for what it has.
    ///
    /// Both mean nothing where a node runs already, which the command is carried out by.
    func temporary(_ uploads: UploadOptions) throws -> NodeConfiguration {
        var configuration = try configuration(listenByDefault: nil)
        configuration.uploads = try uploads.schedule()
        return configuration
    }
}

/// The command `petalsfs limit`.
struct Limit: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Changes what the running node sends, until it ends.",
        discussion: """
            Takes the place of --upload-limit and --upload-times. `petalsfs status` shows the \
            limit in force.
            """)

    @Argument(help: "Bytes a second, for example 2M; 0 for nothing at all, none for no limit.")
    var rate: String

    @Option(
        help: ArgumentHelp(
            "Other limits for parts of the day, as --upload-times takes them.",
            valueName: "table"))
    var times: String?

    @OptionGroup var common: CommonOptions

    func run() async throws {
        // Before the node is asked: what is wrong with it is the same everywhere.
        _ = try Usage.check { try UploadSchedule(limit: rate, times: times) }
        try await Conductor(options: common).carryOut(.limit(rate: rate, times: times))
    }
}

/// What `petalsfs status` says of uploads.
extension NodeStatus.Upload {
    var text: String {
        let limit = limit.map { $0 == 0 ? "nothing is sent" : "limit \(ByteCount($0))/s" }
        return "\(limit ?? "no limit"), \(ByteCount(rate))/s lately, \(ByteCount(bytes)) in all"
            + (waiting > 0 ? ", \(counted(waiting, "request waits", "requests wait"))" : "")
            + (contended ? "; contended" : "")
            + (times.isEmpty ? "" : "; times \(times)")
    }
}
