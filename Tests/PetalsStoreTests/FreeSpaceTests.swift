import PetalsCore
import PetalsTesting
import Testing

@testable import PetalsStore

/// What is believed of the disk, against a disk that keeps count itself.
@Suite struct FreeSpaceTests {
    /// Promises, writes and questions in any order, one question lasting while the rest goes on:
    /// never is more believed to be free than there is when all that was promised is written.
    @Test(arguments: 0..<50) func whatIsBelievedIsNeverTooMuch(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        var free = FreeSpace(floor: 1)
        var now = ContinuousClock.now
        var disk = 1_000_000
        var pending = 0
        // The system answers with what was free at some moment of the question.
        var asking: (question: FreeSpace.Question, answer: Int)?
        for _ in 0..<500 {
            switch generator.next() % 6 {
            case 0, 1:
                let length = Int.random(in: 1...500, using: &generator)
                free.promise(length)
                pending += length
            case 2:
                let written = Int.random(in: 0...pending, using: &generator)
                pending -= written
                disk -= written
            case 3:
                // Room that is given back shows when the system is asked again.
                disk += Int.random(in: 0...500, using: &generator)
            case 4 where asking == nil:
                asking = (free.question(pending: pending), disk)
            default:
                if let asked = asking, generator.next() % 2 == 0 {
                    free.take(asked.answer, to: asked.question, now: now, isOrdinary: true)
                    asking = nil
                } else if let asked = asking {
                    asking = (asked.question, disk)
                }
            }
            now += .milliseconds(1)
            if let known = free.known { #expect(known <= disk - pending, "seed \(seed)") }
        }
    }

    @Test func aQuestionIsAskedWhenTheAnswerIsOld() {
        let start = ContinuousClock.now
        var free = FreeSpace(floor: 1)
        #expect(free.needsQuestion(now: start) && free.missing(for: 1) == 0)
        func ask(_ bytes: Int, at now: ContinuousClock.Instant) {
            free.take(bytes, to: free.question(pending: 0), now: now, isOrdinary: true)
        }
        ask(1 << 30, at: start)
        #expect(!free.needsQuestion(now: start + .milliseconds(99)))
        #expect(free.needsQuestion(now: start + .milliseconds(100)))
        for _ in 0..<15 { free.promise(Limits.cellBytes) }
        #expect(!free.needsQuestion(now: start))
        free.promise(Limits.cellBytes)
        #expect(free.needsQuestion(now: start))
        ask(1 << 30, at: start)
        #expect(!free.needsQuestion(now: start))
        #expect(!FreeSpace(floor: 0).needsQuestion(now: start), "who leaves nothing need not ask")
    }

    @Test func whatIsMissingIsExact() {
        var free = FreeSpace(floor: 1000)
        let room = 1000 + FreeSpace.marginBytes
        free.take(room + 500, to: free.question(pending: 0), now: .now, isOrdinary: true)
        #expect(free.missing(for: 500) == 0 && free.missing(for: 501) == 1)
        free.promise(500)
        #expect(free.missing(for: 1) == 1)
        free.take(room + 500, to: free.question(pending: 200), now: .now, isOrdinary: true)
        #expect(free.missing(for: 300) == 0 && free.missing(for: 301) == 1)
    }

    @Test(arguments: [
        (0, 0), (19, 0), (8_000_000_000, 400_000_000), (20 << 30, 1 << 30), (1 << 50, 1 << 30),
        (DiskSpace.bytesMax, 1 << 30),
    ])
    func theUsualFloor(size: Int, floor: Int) {
        #expect(FreeSpace.defaultFloor(diskSize: size) == floor)
    }

    /// Numbers that no disk has, from a command line or a file system, are cut and not added up.
    @Test func numbersWithoutMeasure() {
        #expect(DiskSpace(size: .max, free: -5) == DiskSpace(size: 1 << 60, free: 0))
        var ledger = SpaceLedger(limit: .max, floor: .max)
        ledger.free.take(
            DiskSpace.bytesMax, to: ledger.free.question(pending: ledger.pending), now: .now,
            isOrdinary: true)
        #expect(ledger.reserve(1, for: .cached).outcome == .refused(.disk))
        #expect(ledger.reserve(1, for: .pinned).outcome == .granted)
    }
}
