package import PetalsCore

/// When to look for peers of a topic.
///
/// At once when somebody begins to wait, then after one second, two, four and so on up to half a
/// minute for as long as he waits. A topic that is served and could do with more peers is looked
/// for once a minute. A value machine: time is an argument.
///
/// This is what a node needs, and goes to all sources alike. What a source may send for it is its
/// own affair: `DHTSchedule` and `LocalSchedule` pace what goes out, announcements with lookups.
package struct LookupSchedule: Sendable {
    static let firstPause: Instant = 1
    static let pauseMax: Instant = 30
    static let rarePause: Instant = 60
    /// How long a topic that nobody needs any more is remembered: a reader who turns away and back
    /// does not begin anew.
    static let memorySeconds: Instant = 60
    /// Time that connected peers have to help before others are looked for.
    static let graceSeconds: Instant = 0.1

    private struct Entry {
        var nextAt: Instant
        var pause: Instant
        var neededAt: Instant
    }

    private var entries: [Topic: Entry] = [:]

    /// Nothing is looked for yet.
    package init() {}

    /// The topics to look for now.
    ///
    /// - Parameters:
    ///   - waiting: topics that somebody waits for and no connected peer serves.
    ///   - thin: topics that are served by few.
    ///   - hasPeers: whether any peer is connected, who may be about to serve what is waited for.
    package mutating func due(
        waiting: Set<Topic>, thin: Set<Topic>, hasPeers: Bool, now: Instant
    ) -> Set<Topic> {
        var due: Set<Topic> = []
        for topic in waiting.union(thin) {
            let isUrgent = waiting.contains(topic)
            var entry =
                entries[topic]
                ?? Entry(
                    nextAt: now + (isUrgent && !hasPeers ? 0 : Self.graceSeconds),
                    pause: Self.firstPause, neededAt: now)
            entry.neededAt = now
            if isUrgent {
                // It was served until now: whoever waits does not wait for the rare look.
                entry.nextAt = min(entry.nextAt, now + entry.pause)
            }
            if entry.nextAt <= now {
                due.insert(topic)
                entry.nextAt = now + (isUrgent ? entry.pause : Self.rarePause)
                if isUrgent { entry.pause = min(2 * entry.pause, Self.pauseMax) }
            }
            entries[topic] = entry
        }
        entries = entries.filter { now - $0.value.neededAt <= Self.memorySeconds }
        return due
    }
}
