//
// PetalsSimulation: whole swarms in virtual time.
//
// Whether a policy is good shows when a thousand nodes follow it, and nobody has so many machines
// at hand. So this program has them in one process, with the very code that petalsfs runs: every
// node has machines of its own (`DialPlan`, `FetchScheduler`, `DonationPlan` and the others, which
// take time as an argument and open no socket), and the world between them is a model.
//
//   Kernel/    the model: what happens when (`EventQueue`), what lines carry (`Lines`), who takes
//              part (`Population`), the DHT (`Rendezvous`)
//   Spread/    a model becomes wanted that one node has: cells, schedulers, exchange
//   Keeping/   donors keep thousands of shards while nodes come and go: `DonationPlan`
//   Meeting/   what finding each other costs a node, in swarms of up to 100,000
//   Credit/    attacks on credit: ledgers and upload plans of honest nodes and of others
//   Reading/   readers of one file among holders that lie, are slow, or surround them
//   Report/    figures, targets, and the commands
//
// scripts/simulate runs it and makes tables and a picture; SwarmTests uses it as a library and
// checks its promises after each batch of events. docs/SIMULATION.md says how to read the figures.
//
// What it never does: decide in the place of a policy. Where something of a node is left out or
// done for many nodes at once, the type that does so says what and why.
//
// A seed gives the same run everywhere: all randomness is `SeededGenerator`'s, and nothing depends
// on the order of a dictionary, which is another in each process.
//
internal import ArgumentParser
internal import Foundation
internal import PetalsCore

/// The root of the commands.
@main
struct SimulationCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "PetalsSimulation", abstract: "Runs swarms of petalsfs in virtual time.",
        subcommands: [
            SpreadCommand.self, KeepingCommand.self, MeetingCommand.self, CreditCommand.self,
        ])

    static func main() {
        do {
            var command = try parseAsRoot()
            try command.run()
        } catch let error as PetalsError {
            let line = "PetalsSimulation: \(error.message)\n"
            // Where standard error is gone there is nobody left to tell.
            try? FileHandle.standardError.write(contentsOf: Data(line.utf8))
            Foundation.exit(1)
        } catch {
            exit(withError: error)
        }
    }
}
