internal import PetalsCore
internal import ShardFetch

// A DHT of which all answers are hostile: attack 16.

extension Attack {
    /// Seconds from the moment at which help comes to the first bytes of the slowest reader, and
    /// wrong bytes.
    private static func find(
        _ scale: Scale, _ help: Eclipse.Help
    ) throws -> (seconds: Double, world: ReadingWorld) {
        // Who has the file, who tells of him, and liars of both kinds.
        let liars = (0..<60).map { number -> ReadingHolder.Manner in
            number % 2 == 0 ? .flips(part: 1) : .claims(answers: false)
        }
        let world = try ReadingWorld(
            ReadingWorld.Scenario(
                manners: [.honest, .knowsOthers] + liars, readers: scale.count(20, least: 3),
                connections: 0, rows: 4, thinkSeconds: 0.05, population: .mixed, isComplete: true,
                isDefended: scale.isDefended, seed: scale.seed))
        let answers =
            liars.indices.map { AddressBook.packed($0 + 2) }
            + (0..<2000).map { AddressBook.packed(1_000_000 + $0) }
        let helpAt = 60.0
        world.begin(
            Eclipse(help: help, helpAt: helpAt, honest: 0, friend: 1, answers: answers))
        world.run(until: helpAt + 120, counting: false)
        let seconds = world.readers.map { ($0.firstAnswerAt ?? .infinity) - helpAt }
        return (seconds.max() ?? .infinity, world)
    }

    static let eclipse = Attack(16, "all answers of the DHT are hostile") { scale in
        let named = try find(scale, .named)
        let told = try find(scale, .told)
        let wrong = named.world.figures.wrongBytes + told.world.figures.wrongBytes
        return (
            [
                Measure(
                    "found by an address that a person named", min(named.seconds, 1000),
                    atMost: 30, "s"),
                Measure(
                    "found by what a peer told", min(told.seconds, 1000), atMost: 30, "s"),
                Measure("wrong bytes read", Double(wrong), atMost: 0, "bytes"),
            ], named.world.violations + told.world.violations
        )
    }
}
