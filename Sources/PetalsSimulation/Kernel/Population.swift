internal import Glibc
package import PetalsTesting
package import ShardFetch

/// What kinds of machines take part, and how long they stay.
///
/// Half of the lines are 50 Mbit/s up, 30 % are 10 and 20 % are 1000: the steps in which providers
/// sell cable, VDSL and fibre, so that the swarm has the spread of a hundred that makes a plan fail
/// which gives everybody the same. Down they are 100, 250 and 1000 Mbit/s. None of it is a
/// measurement of a particular country; `docs/SIMULATION.md` says which results depend on it.
package struct Population: Sendable {
    /// A kind of line.
    package struct Line: Hashable, Sendable {
        package let name: String
        /// Bytes a second.
        package let upload: Double
        package let download: Double
        /// Part of all nodes.
        package let share: Double

        package init(_ name: String, upload: Double, download: Double, share: Double) {
            self.name = name
            self.upload = upload
            self.download = download
            self.share = share
        }
    }

    /// When nodes are there.
    package struct Sessions: Hashable, Sendable {
        /// Half of all sessions end before so many seconds.
        package let halfLife: Instant
        /// Part of its time for which a node is there.
        package let availability: Double

        package init(halfLife: Instant, availability: Double) {
            self.halfLife = halfLife
            self.availability = availability
        }

        /// Sessions end as atoms decay, so that the mean is the half-life divided by ln 2.
        package var presentMean: Instant { halfLife / log(2) }
        /// What makes the part of time come out as it should.
        package var absentMean: Instant { presentMean * (1 - availability) / availability }
    }

    /// Slow, middling and fast lines, a hundred times apart.
    package static let mixed = Population(lines: [
        Line("10 Mbit/s", upload: 1.25e6, download: 12.5e6, share: 0.3),
        Line("50 Mbit/s", upload: 6.25e6, download: 31.25e6, share: 0.5),
        Line("1 Gbit/s", upload: 125e6, download: 125e6, share: 0.2),
    ])

    package let lines: [Line]

    /// A population of some kinds, whose shares make up the whole.
    package init(lines: [Line]) {
        precondition(abs(lines.reduce(0) { $0 + $1.share } - 1) < 1e-9)
        self.lines = lines
    }

    /// The kinds of so many nodes: shares are met as exactly as whole nodes can, in a random order.
    package func kinds(of count: Int, using generator: inout SeededGenerator) -> [Int] {
        var kinds: [Int] = []
        var share = 0.0
        for (kind, line) in lines.enumerated() {
            share += line.share
            let until = kind == lines.count - 1 ? count : Int((share * Double(count)).rounded())
            kinds += Array(repeating: kind, count: max(0, until - kinds.count))
        }
        return kinds.shuffled(using: &generator)
    }
}

extension SeededGenerator {
    /// A time until something happens that is as likely at any moment.
    package mutating func decay(mean: Instant) -> Instant {
        -log(1 - Double.random(in: 0..<1, using: &self)) * mean
    }
}

/// Seconds from one node to another: 10 to 120 ms, the same each time for the same two, without a
/// table of all pairs.
package func spreadLatency(_ a: Int, _ b: Int) -> Instant {
    var mixed = UInt64(min(a, b)) << 32 | UInt64(max(a, b))
    mixed = (mixed ^ mixed >> 30) &* 0xbf58_476d_1ce4_e5b9
    mixed = (mixed ^ mixed >> 27) &* 0x94d0_49bb_1331_11eb
    return 0.01 + 0.11 * Double((mixed ^ mixed >> 31) >> 11) / Double(1 << 53)
}
