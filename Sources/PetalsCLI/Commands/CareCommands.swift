internal import ArgumentParser
internal import Foundation
internal import PetalsCore

/// The command `petalsfs verify`.
struct Verify: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Reads everything that is stored and checks it against its tree.",
        discussion: "What does not match is forgotten, and fetched again when it is needed.")

    @Argument(help: "The model; all of them unless given.")
    var name: String?

    @OptionGroup var output: OutputOptions
    @OptionGroup var common: CommonOptions

    func run() async throws {
        let result = try await Conductor(options: common, title: "verifying")
            .perform(.verify(name: name))
        guard case .verified(let report) = result else { throw ControlResult.unexpected }
        if output.json {
            try Output.printJSON(report)
        } else {
            for cell in report.damaged { Terminal.print("damaged, forgotten: \(cell)") }
            for file in report.changedFiles { Terminal.print("changed since published: \(file)") }
            for name in report.wrongModels {
                Terminal.print("not the file of its SHA-256: \(name)")
            }
            Terminal.print(
                "\(report.clean ? "clean" : "not clean"): \(counted(report.cells, "cell")), "
                    + "\(ByteCount(report.bytes)) checked, \(report.damaged.count) damaged")
        }
        if !report.clean { throw ExitCode(1) }
    }
}
