import PetalsSimulation
import PetalsTesting
import ShardFetch
import Testing

/// Which reads count as served while a model cannot be read now and then.
struct OutageTests {
    private let span: ClosedRange<Instant> = 1000...3000

    private func failing(_ outages: [Outage], patience: Instant) throws -> Instant {
        let served = try #require(
            Outage.servedReads([outages], in: span, patience: patience))
        return ((1 - served) * (2000 - patience)).rounded()
    }

    @Test("A read waits out what is shorter than its patience")
    func waiting() throws {
        let short = Outage(from: 1500, until: 1540)
        #expect(try failing([short], patience: 600) == 0)
        // From 20 s before to 40 s before the end of it, since serving takes 20 s.
        #expect(try failing([short], patience: 60) == 20)
        // 1000 s: whoever begins in the first 400 of them, and 40 for serving.
        #expect(try failing([Outage(from: 1500, until: 2500)], patience: 600) == 440)
    }

    @Test("What is there for a moment serves nobody")
    func moments() throws {
        let parts = [Outage(from: 1500, until: 2000), Outage(from: 2010, until: 2500)]
        #expect(try failing(parts, patience: 600) == 440)
        let apart = [Outage(from: 1500, until: 2000), Outage(from: 2030, until: 2500)]
        #expect(try failing(apart, patience: 600) == 0)
    }

    @Test("Only reads count of which the end is known")
    func ends() throws {
        // Of 1400 s in which reads begin that count, the last 400 are too late.
        #expect(try failing([Outage(from: 2020, until: .infinity)], patience: 600) == 400)
        #expect(try failing([Outage(from: 0, until: 1300)], patience: 60) == 260)
        #expect(Outage.servedReads([[]], in: span, patience: 2000) == nil)
        #expect(Outage.servedReads([[]], in: span, patience: 600) == 1)
    }

    /// The same by asking each read of a second what becomes of it.
    @Test("Any outages give what each read by itself gives", arguments: 0..<40 as Range<UInt64>)
    func each(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        var outages: [Outage] = []
        var now = Double(Int.random(in: 900...1400, using: &generator))
        while now < 3000 {
            let end = now + Double(Int.random(in: 1...900, using: &generator))
            outages.append(Outage(from: now, until: end))
            now = end + Double(Int.random(in: 1...60, using: &generator))
        }
        for patience in [60.0, 600] {
            var failed = 0
            // In the middle of each second, so that nothing hangs on an end.
            for second in 0..<Int(2000 - patience) {
                let begin = 1000.5 + Double(second)
                // At once, or when some outage is over.
                let starts = [begin] + outages.map(\.until).filter { $0 >= begin }
                let isServed = starts.contains { start in
                    let end = start + Outage.servingSeconds
                    return end <= begin + patience
                        && !outages.contains { $0.from < end && $0.until > start }
                }
                failed += isServed ? 0 : 1
            }
            #expect(try failing(outages, patience: patience) == Double(failed), "seed \(seed)")
        }
    }
}
