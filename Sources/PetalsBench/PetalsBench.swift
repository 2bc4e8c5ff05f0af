//
// PetalsBench: how long each stage takes by itself.
//
// scripts/bench measures whole systems and says that something has become slower; this program says
// where. It is in no product. A stage is one function that makes its inputs, the same every time
// (`Samples`), and hands one operation to a `Meter`:
//
//   Stages/CodecStages        hash, encrypt, erasure-code, seal, compare checksums
//   Stages/FrameCoderStages   compress and decompress a frame
//   Stages/WireStages         frames and control messages
//   Stages/SchedulerStages    what `FetchScheduler` costs a cell, in virtual time
//   Stages/StoreStages        write, read and serve a cell
//   Stages/NodeStages         whole reads: from the store, and from another node over TLS
//
// Three ways to run one. For a person, and with `--json` for scripts/bench, the meter takes the
// time of batches and reports their median and the least. With `--count N` it does N operations and
// prints nothing: scripts/callgrind has the instructions of two such runs counted, and the
// difference is what the operations took. Stages that wait for threads or sockets say that they
// cannot be counted.
//
// Every operation checks what it did, so that no figure is of a failure. Nothing here is a test:
// how long something takes passes or fails nothing.
//
// What it never does: measure through another door than the product uses, except where the product
// shows none, and then the stage says so.
//
internal import ArgumentParser
internal import Foundation
internal import PetalsCore
internal import ShardFetch

/// The root of both commands.
@main
struct BenchCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "PetalsBench", abstract: "Measures the stages of petalsfs one by one.",
        subcommands: [List.self, Run.self], defaultSubcommand: Run.self)

    static func main() {
        // As petalsfs does; else page faults would be measured that it does not have.
        Allocator.keepMemory()
        do {
            var command = try parseAsRoot()
            try command.run()
        } catch let error as PetalsError {
            let line = "PetalsBench: \(error.message)\n"
            // Where standard error is gone there is nobody left to tell.
            try? FileHandle.standardError.write(contentsOf: Data(line.utf8))
            Foundation.exit(1)
        } catch {
            exit(withError: error)
        }
    }
}

/// The command `PetalsBench list`.
struct List: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Lists the stages.")

    @Flag(help: "Print one JSON document.")
    var json = false

    func run() throws {
        if json {
            try Report.print(Stage.all.map(StageFacts.init))
        } else {
            for stage in Stage.all { print(Report.line(stage.name, stage.title)) }
        }
    }
}

/// The command that measures.
struct Run: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Measures stages; all of them unless some are named.")

    @Argument(help: ArgumentHelp("Stages, as `list` names them.", valueName: "stage"))
    var names: [String] = []

    @Option(help: "How long each stage is measured.")
    var seconds = 0.5

    @Option(help: "Do so many operations of each stage instead, and print nothing.")
    var count: Int?

    @Flag(help: "Print one JSON document.")
    var json = false

    func validate() throws {
        for name in names where !Stage.all.contains(where: { $0.name == name }) {
            throw ValidationError("There is no stage named \(name); `list` names them all.")
        }
        guard seconds > 0, seconds <= 3600 else {
            throw ValidationError("--seconds takes a number up to 3600.")
        }
        guard count ?? 1 > 0 else { throw ValidationError("--count takes a number from 1 on.") }
    }

    func run() throws {
        let stages = names.isEmpty ? Stage.all : Stage.all.filter { names.contains($0.name) }
        if let count {
            for stage in stages { try stage.run(Meter(.count(count))) }
            return
        }
        if !json { print(Report.header) }
        var figures: [StageFigures] = []
        for stage in stages {
            let meter = Meter(.seconds(seconds))
            try stage.run(meter)
            let found = try StageFigures(stage, meter.nanoseconds)
            figures.append(found)
            if !json { print(Report.line(found)) }
        }
        if json { try Report.print(figures) }
    }
}
