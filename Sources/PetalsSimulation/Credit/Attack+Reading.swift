internal import PetalsCore
internal import ShardFetch

// Holders that give wrong bytes, that have not what they claim, or that are slow, and those who
// read from them: attacks 12, 13, 14.

extension Attack {
    /// Lines of which all are wanted by those who read as fast as they can.
    private static let evenLines = Population(lines: [
        Population.Line("8 Mbit/s", upload: 1e6, download: 12.5e6, share: 1)
    ])

    private static func scenario(
        _ scale: Scale, _ manners: [ReadingHolder.Manner], thinkSeconds: Instant?
    ) -> ReadingWorld.Scenario {
        ReadingWorld.Scenario(
            manners: manners, readers: scale.count(20, least: 3),
            connections: min(40, manners.count), rows: scale.count(16, least: 4),
            thinkSeconds: thinkSeconds,
            population: thinkSeconds == nil ? evenLines : .mixed, isDefended: scale.isDefended,
            seed: scale.seed)
    }

    // MARK: Wrong bytes

    /// What readers got from holders of whom some flip bits, in bytes a second; and the most wrong
    /// answers that one holder could give to one reader within the hour.
    private static func readFlipped(
        _ scale: Scale, part: Double?
    ) throws -> (rate: Double, worst: Int, wrongAnswers: Int, world: ReadingWorld) {
        let count = scale.count(100, least: 20)
        let manners = (0..<count).map { number -> ReadingHolder.Manner in
            guard let part, number % 5 == 0 else { return .honest }
            return .flips(part: part)
        }
        let seconds = max(30 * scale.part, 8)
        let world = try ReadingWorld(scenario(scale, manners, thinkSeconds: nil))
        world.run(until: seconds / 10, counting: false)
        world.run(until: seconds, counting: true)
        let rate = Double(world.figures.answeredBytes) / (0.9 * seconds)
        if part != nil {
            // Whoever was left out for ten minutes may come back, once.
            world.pause()
            world.run(until: seconds + 1.1 * PeerBook.blameSeconds, counting: false)
            world.resume()
            world.run(until: seconds + 1.1 * PeerBook.blameSeconds + 8, counting: false)
        }
        let all = world.readers.flatMap(\.wrongAnswers.values)
        return (rate, all.max() ?? 0, all.reduce(0, +), world)
    }

    static let flippers = Attack(12, "20 % flip bits in 1 % or in all of their leaves") { scale in
        let clean = try readFlipped(scale, part: nil)
        let few = try readFlipped(scale, part: 0.01)
        let all = try readFlipped(scale, part: 1)
        let wrong = [clean, few, all].reduce(0) { $0 + $1.world.figures.wrongBytes }
        return (
            [
                Measure("wrong bytes read", Double(wrong), atMost: 0, "bytes"),
                Measure("goodput, 1 % flipped", 100 * few.rate / clean.rate, atLeast: 75, "%"),
                Measure("goodput, all flipped", 100 * all.rate / clean.rate, atLeast: 75, "%"),
                Measure(
                    "wrong answers of one to one reader in an hour",
                    Double(max(few.worst, all.worst)), atMost: 2),
                Measure("wrong answers found", Double(all.wrongAnswers), atLeast: 1),
            ], clean.world.violations + few.world.violations + all.world.violations
        )
    }

    // MARK: Claims

    /// Reads at random places, one after the other with pauses.
    private static func readAtRandom(
        _ scale: Scale, _ manners: [ReadingHolder.Manner], connectionTenths: Int = 10
    ) throws -> ReadingWorld {
        let seconds = readingSeconds(scale)
        var scenario = scenario(scale, manners, thinkSeconds: 0.05)
        scenario.connections = scenario.connections * connectionTenths / 10
        let world = try ReadingWorld(scenario)
        world.run(until: seconds / 10, counting: false)
        world.run(until: seconds, counting: true)
        return world
    }

    private static func readingSeconds(_ scale: Scale) -> Instant { max(200 * scale.part, 60) }

    static let claimants = Attack(13, "30 % claim everything and have little or nothing") { scale in
        let count = scale.count(100, least: 20)
        let manners = (0..<count).map { number -> ReadingHolder.Manner in
            switch number % 20 {
            case 0, 1: .claims(answers: true)
            case 2, 3: .claims(answers: false)
            case 4, 5: .boasts
            default: .honest
            }
        }
        // The same honest holders, and nobody else.
        let clean = try readAtRandom(
            scale, manners.filter { !$0.isHostile }, connectionTenths: 7)
        let hostile = try readAtRandom(scale, manners)
        let reads = Double(max(1, hostile.figures.seconds.count))
        let waiting = Double(hostile.figures.askedInVain) / reads
        return (
            [
                Measure("reads that wait on them", 100 * waiting, atMost: 2, "%"),
                Measure(
                    "95th percentile, of that without them",
                    Statistics.quantile(0.95, hostile.figures.seconds)
                        / Statistics.quantile(0.95, clean.figures.seconds), atMost: 1.5),
                Measure("reads", reads, atLeast: 100),
            ], clean.violations + hostile.violations
        )
    }

    // MARK: Slowness

    static let slowLoris = Attack(14, "20 % are 100 times slower, half of them all at once") {
        scale in
        let count = scale.count(100, least: 20)
        let seconds = readingSeconds(scale)
        let manners = (0..<count).map { number -> ReadingHolder.Manner in
            switch number % 10 {
            case 0: .slow(from: 0)
            case 5: .slow(from: seconds / 2)
            default: .honest
            }
        }
        let clean = try readAtRandom(scale, manners.map { _ in .honest })
        let hostile = try readAtRandom(scale, manners)
        func quantile(_ world: ReadingWorld) -> Double {
            Statistics.quantile(0.99, world.figures.seconds)
        }
        let figures = hostile.figures
        return (
            [
                Measure(
                    "99th percentile, of that without them", quantile(hostile) / quantile(clean),
                    atMost: 2),
                Measure(
                    "bytes beyond those read",
                    100 * (Double(figures.cameBytes) / Double(max(1, figures.answeredBytes)) - 1),
                    atMost: 6, "%"),
                Measure("reads", Double(figures.seconds.count), atLeast: 100),
            ], clean.violations + hostile.violations
        )
    }
}
