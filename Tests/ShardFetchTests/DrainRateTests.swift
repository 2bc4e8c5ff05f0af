import PetalsCore
import Testing

@testable import ShardFetch

/// Goal: frames are as large as the line bears, and only a line that is known to be slow is spared.
struct DrainRateTests {
    /// A line of so many bytes a second, after a number of cells.
    private func line(_ bytesPerSecond: Double, cells: Int) -> DrainRate {
        var rate = DrainRate()
        var now: Instant = 1
        for _ in 0..<cells {
            rate.begin(now: now)
            now += Double(Limits.cellBytes) / bytesPerSecond
            rate.sent(Limits.cellBytes, now: now)
        }
        return rate
    }

    @Test func aLineIsSlowOnlyOnceThatIsKnown() {
        #expect(!line(1e6, cells: 0).isSlow)
        #expect(line(1e6, cells: 1).isSlow)
        #expect(line(15e6, cells: 40).isSlow)
        #expect(!line(17e6, cells: 40).isSlow)
        #expect(!line(500e6, cells: 40).isSlow)
    }

    @Test func framesGrowWithTheLine() {
        #expect(line(1e6, cells: 40).bulkFrameLeaves == Limits.bulkFrameLeavesMax)
        #expect(line(500e6, cells: 40).bulkFrameLeaves == Limits.leavesPerCell)
        #expect(DrainRate().bulkFrameLeaves == Limits.bulkFrameLeavesMax)
    }
}
