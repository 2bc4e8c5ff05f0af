internal import HeapModule
package import ShardFetch

/// What will happen, in the order in which it happens.
///
/// Events of one moment come in the order in which they were scheduled, so that a seed gives the
/// same run everywhere: a heap alone promises no order among equals.
package struct EventQueue<Event> {
    private struct Entry: Comparable {
        let at: Instant
        let number: UInt64
        let event: Event

        static func < (a: Self, b: Self) -> Bool { (a.at, a.number) < (b.at, b.number) }
        static func == (a: Self, b: Self) -> Bool { a.number == b.number }
    }

    private var heap = Heap<Entry>()
    private var numbers: UInt64 = 0

    /// The moment of the event that came last; time never goes back.
    package private(set) var now: Instant = 0

    /// Makes a queue that begins at moment 0 and in which nothing will happen.
    package init() {}

    /// Events that have not happened yet.
    package var count: Int { heap.count }
    /// Events that were ever scheduled.
    package var scheduledCount: UInt64 { numbers }

    /// Has something happen; what should have happened already happens at once.
    package mutating func schedule(_ event: Event, at moment: Instant) {
        numbers += 1
        heap.insert(Entry(at: max(moment, now), number: numbers, event: event))
    }

    /// Has something happen after so many seconds.
    package mutating func schedule(_ event: Event, after seconds: Instant) {
        schedule(event, at: now + seconds)
    }

    /// The next event, and on to its moment; nil, and on to `end`, when there is none until then.
    package mutating func next(until end: Instant) -> Event? {
        guard let first = heap.min, first.at <= end else {
            now = max(now, end)
            return nil
        }
        heap.removeMin()
        now = first.at
        return first.event
    }
}
