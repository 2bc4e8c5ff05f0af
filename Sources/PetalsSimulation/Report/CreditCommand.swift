internal import ArgumentParser
internal import Foundation
internal import PetalsCore

/// The command `PetalsSimulation credit`.
struct CreditCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "credit", abstract: "Attacks on credit, with real books and upload plans.")

    @Option(help: "The number of the attack.")
    var attack: Int

    @Option(help: "The part of the full size that is run.")
    var part = 1.0

    @Flag(help: "Leave out the defence of attacks 12, 13, 14, 16 or 22, to see it missed.")
    var undefended = false

    @Option(help: "The row of random numbers.")
    var seed: UInt64 = 1

    func run() throws {
        guard let found = Attack.all.first(where: { $0.number == attack }) else {
            let numbers = Attack.all.map { String($0.number) }.joined(separator: ", ")
            throw PetalsError(.badInput, "there is no attack \(attack); there are \(numbers)")
        }
        let outcome = try found.run(
            .init(seed: seed, part: part, isDefended: !undefended))
        try Report.print(outcome, violations: outcome.violations)
    }
}
