internal import Foundation
internal import PetalsCore

/// What is known of a stage before it is measured, for scripts/callgrind.
struct StageFacts: Encodable {
    let stage: String
    let what: String
    let countedOperations: Int?

    init(_ stage: Stage) {
        self.stage = stage.name
        what = stage.title
        countedOperations = stage.countedOperations
    }
}

/// What was measured of a stage.
struct StageFigures: Encodable {
    let stage: String
    let what: String
    /// What the figures are for: a byte, a cell, a message.
    let unit: String
    /// Nanoseconds a unit, of the batch in the middle.
    let median: Double
    /// The same of the quickest batch.
    let least: Double
    /// From the median; nil where the unit is not a byte.
    let megabytesPerSecond: Double?

    /// - Parameter nanoseconds: what an operation took, one figure a batch.
    /// - Throws: where the stage has measured nothing.
    init(_ stage: Stage, _ nanoseconds: [Double]) throws(PetalsError) {
        let sorted = nanoseconds.sorted()
        let shortest = try require(sorted.first, "\(stage.name) measured nothing")
        let middle = sorted[sorted.count / 2]
        self.stage = stage.name
        what = stage.title
        switch stage.unit {
        case .bytes(let count):
            unit = "byte"
            median = middle / Double(count)
            least = shortest / Double(count)
            megabytesPerSecond = 1e3 / median
        case .items(let name, let count):
            unit = name
            median = middle / Double(count)
            least = shortest / Double(count)
            megabytesPerSecond = nil
        }
    }
}

/// How results are printed.
enum Report {
    private static let nameWidth = 22
    private static let titleWidth = 48

    /// The first line of the table.
    static let header =
        line("stage", "what") + right("ns", 10) + right("least", 10) + "  for a     "
        + right("MB/s", 8)

    /// A line of the table.
    static func line(_ figures: StageFigures) -> String {
        let rate = figures.megabytesPerSecond.map { String(format: "%.0f", $0) } ?? "-"
        let unit = figures.unit.padding(toLength: 10, withPad: " ", startingAt: 0)
        return line(figures.stage, figures.what) + right(text(figures.median), 10)
            + right(text(figures.least), 10) + "  " + unit + right(rate, 8)
    }

    /// A stage and what it is, in columns.
    static func line(_ name: String, _ title: String) -> String {
        name.padding(toLength: nameWidth, withPad: " ", startingAt: 0)
            + title.padding(toLength: titleWidth, withPad: " ", startingAt: 0)
    }

    /// Prints one JSON document.
    static func print(_ stages: [some Encodable]) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        let bytes = try encoder.encode(["stages": stages])
        try FileHandle.standardOutput.write(contentsOf: bytes + Data("\n".utf8))
    }

    private static func text(_ nanoseconds: Double) -> String {
        String(format: nanoseconds < 100 ? "%.3f" : "%.0f", nanoseconds)
    }

    private static func right(_ text: String, _ width: Int) -> String {
        String(repeating: " ", count: max(0, width - text.count)) + text
    }
}
