internal import PetalsCore
internal import ShardFetch

/// Runs the operation of one stage as often as was asked for.
final class Meter {
    /// How often that is.
    enum Order {
        /// So many times, whatever it takes.
        case count(Int)
        /// As often as fits; the time of each batch is noted.
        case seconds(Double)
    }

    /// Nanoseconds an operation, one figure a batch; empty after a count.
    private(set) var nanoseconds: [Double] = []

    private let order: Order
    /// Batches that the time is divided into: enough for a median, and for one of them to fall into
    /// a quiet moment.
    private static let batches = 20.0
    private static let batchesMin = 5
    /// The part of the time that goes before: caches, tables and the allocator get what they keep,
    /// and it turns out how long an operation takes.
    private static let warmUpShare = 0.2

    init(_ order: Order) {
        self.order = order
    }

    /// Measures an operation.
    ///
    /// - Parameters:
    ///   - most: the most operations between two calls of `prepare`.
    ///   - prepare: called before each batch; its time does not count, though its instructions do
    ///     where these are counted.
    func measure(
        atMost most: Int = .max, before prepare: () throws -> Void = {},
        _ operation: () throws -> Void
    ) throws {
        switch order {
        case .count(let count):
            var left = count
            while left > 0 {
                let batch = min(left, most)
                _ = try seconds(of: batch, prepare, operation)
                left -= batch
            }
        case .seconds(let seconds):
            let batch = try warmUp(seconds * Self.warmUpShare, most, prepare, operation)
            var spent = 0.0
            while spent < seconds || nanoseconds.count < Self.batchesMin {
                let time = try self.seconds(of: batch, prepare, operation)
                spent += time
                nanoseconds.append(time * 1e9 / Double(batch))
            }
        }
    }

    /// Runs the operation for a while and says how many make a batch.
    private func warmUp(
        _ seconds: Double, _ most: Int, _ prepare: () throws -> Void,
        _ operation: () throws -> Void
    ) throws -> Int {
        var count = 1
        var spent = 0.0
        while true {
            let time = try self.seconds(of: count, prepare, operation)
            spent += time
            if spent >= seconds {
                let wanted = seconds / Self.warmUpShare / Self.batches * Double(count) / time
                return max(1, min(most, Int(wanted)))
            }
            if time < seconds / 4 { count = min(most, 2 * count) }
        }
    }

    private func seconds(
        of count: Int, _ prepare: () throws -> Void, _ operation: () throws -> Void
    ) throws -> Double {
        try prepare()
        let began = MonotonicClock.now
        for _ in 0..<count { try operation() }
        return MonotonicClock.now - began
    }
}
