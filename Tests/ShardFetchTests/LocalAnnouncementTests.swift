import Foundation
import PetalsCore
import PetalsTesting
import Testing

@testable import ShardFetch

/// The datagram of the local network: its bytes are those of the written format, and whatever else
/// comes from the network is nothing or an announcement, never the end of the process.
struct LocalAnnouncementTests {
    /// The vectors of Tests/Vectors/format.json, which another program computed.
    private struct Vectors: Decodable {
        struct Announcement: Decodable {
            let topics: [String]
            let port: UInt16
            let looking: Bool
            let nonce, packet: String
        }

        let announcements: [Announcement]

        static func load(from file: String = #filePath) throws -> Vectors {
            let tests = URL(fileURLWithPath: file).deletingLastPathComponent()
                .deletingLastPathComponent()
            let data = try Data(contentsOf: tests.appendingPathComponent("Vectors/format.json"))
            return try JSONDecoder().decode(Vectors.self, from: data)
        }
    }

    private func hex(_ text: String) -> [UInt8] {
        let digits = text.compactMap { $0.hexDigitValue.map(UInt8.init) }
        return stride(from: 0, to: digits.count - 1, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
    }

    private func announcement(tags: Int, isLooking: Bool = false) throws -> LocalAnnouncement {
        var generator = SeededGenerator(seed: UInt64(tags))
        let topics = try (0..<tags).map { _ in try #require(Topic(generator.bytes(20))) }
        return LocalAnnouncement(
            topics: topics, port: 7411, isLooking: isLooking, nonce: generator.bytes(16))
    }

    @Test func theBytesAreThoseOfTheFormat() throws {
        for vector in try Vectors.load().announcements {
            let topics = try vector.topics.map { try #require(Topic(hex($0))) }
            let announcement = LocalAnnouncement(
                topics: topics, port: vector.port, isLooking: vector.looking,
                nonce: hex(vector.nonce))
            #expect(announcement.bytes == hex(vector.packet))
            let read = try #require(LocalAnnouncement(hex(vector.packet)))
            #expect(read == announcement)
            let stranger = try #require(Topic([UInt8](repeating: 9, count: 20)))
            #expect(read.named(of: topics + [stranger]) == topics)
        }
    }

    @Test func everyNumberOfTopicsComesBack() throws {
        for count in 1...LocalAnnouncement.tagsMax {
            let announcement = try announcement(tags: count, isLooking: count % 2 == 0)
            #expect(LocalAnnouncement(announcement.bytes) == announcement)
            #expect(announcement.bytes.count <= 1280)
        }
    }

    /// Every length from nothing to more than there may be; only those with whole tags are read.
    @Test func everyOtherLengthIsNothing() throws {
        let whole = try announcement(tags: LocalAnnouncement.tagsMax).bytes
        for count in 0...whole.count + 16 {
            let bytes = Array((whole + [UInt8](repeating: 0, count: 16)).prefix(count))
            let isWhole =
                (1...LocalAnnouncement.tagsMax).contains((count - 24) / 8) && (count - 24) % 8 == 0
            #expect((LocalAnnouncement(bytes) != nil) == isWhole, "\(count) bytes")
        }
    }

    /// Every byte changed in turn: magic and version are refused, unknown flags change nothing.
    @Test func everyChangedByteIsNothingOrAnotherAnnouncement() throws {
        let sound = try announcement(tags: 3)
        for position in sound.bytes.indices {
            for flip in [0x01, 0x02, 0x80, 0xff] as [UInt8] {
                var bytes = sound.bytes
                bytes[position] ^= flip
                let read = LocalAnnouncement(bytes)
                switch position {
                case 0..<5: #expect(read == nil)
                case 5: #expect(read?.isLooking == (flip & 1 != 0) && read?.tags == sound.tags)
                default: #expect(read != nil && read != sound)
                }
            }
        }
    }

    @Test func noiseIsNothing() {
        var generator = SeededGenerator(seed: 3)
        for _ in 0..<2000 {
            let bytes = generator.bytes(Int.random(in: 0...2000, using: &generator))
            #expect(LocalAnnouncement(bytes) == nil)
        }
    }
}

/// What is said in the local network and when, in virtual time.
struct LocalScheduleTests {
    private func topics(_ count: Int) throws -> [Topic] {
        try (0..<count).map {
            try #require(Topic(Digest(words: (UInt64($0), 1, 2, 3)).bytes.prefix(20)))
        }
    }

    /// Runs a schedule to a time, in its own steps, and returns what it sent.
    private func run(
        _ schedule: inout LocalSchedule, from start: Instant, to end: Instant,
        using generator: inout SeededGenerator
    ) -> [(at: Instant, message: LocalSchedule.Message)] {
        var sent: [(Instant, LocalSchedule.Message)] = []
        while schedule.nextAt <= end {
            let now = max(schedule.nextAt, start)
            let messages = schedule.due(now: now, using: &generator)
            sent += messages.map { (now, $0) }
            if schedule.nextAt <= now {
                Issue.record("the schedule does not move on at \(now)")
                break
            }
        }
        return sent
    }

    @Test(arguments: 0..<10 as Range<UInt64>)
    func whatIsNewIsAnnouncedAtOnceAndThenInTurn(_ seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        var schedule = LocalSchedule(now: 0)
        #expect(schedule.nextAt == .infinity)
        let all = try topics(300)
        for topic in all { schedule.announce(topic, now: 0, using: &generator) }
        let first = run(&schedule, from: 0, to: 0.2, using: &generator)
        #expect(first.map(\.message.topics.count) == [128, 128, 44])
        #expect(first.flatMap(\.message.topics) == all, "seed \(seed)")
        let later = run(&schedule, from: 0.2, to: 100, using: &generator)
        #expect((16...25).contains(later.count), "one about every five seconds")
        #expect(later.prefix(3).flatMap(\.message.topics) == Array((all + all).prefix(384)))
        #expect(later.allSatisfy { !$0.message.isLooking })
        for topic in all.dropFirst() { schedule.withdraw(topic) }
        schedule.withdraw(all[0])
        schedule.withdraw(all[0])
        #expect(run(&schedule, from: 100, to: 200, using: &generator).isEmpty)
    }

    @Test func whoIsAskedAnswersSoonForWhatItHas() throws {
        var generator = SeededGenerator(seed: 1)
        var schedule = LocalSchedule(now: 0)
        let all = try topics(3)
        for topic in all.prefix(2) { schedule.announce(topic, now: 0, using: &generator) }
        _ = run(&schedule, from: 0, to: 1, using: &generator)
        schedule.asked(for: [all[1], all[2]], now: 1, using: &generator)
        let answer = run(&schedule, from: 1, to: 1.2, using: &generator)
        #expect(answer.map(\.message) == [.init(topics: [all[1]], isLooking: false)])
    }

    @Test func whatIsSoughtIsSaidAtOnce() throws {
        var generator = SeededGenerator(seed: 1)
        var schedule = LocalSchedule(now: 0)
        let all = try topics(2)
        schedule.find(all[0], now: 5)
        schedule.find(all[0], now: 5)
        schedule.find(all[1], now: 5)
        #expect(schedule.nextAt == 5)
        let sent = schedule.due(now: 5, using: &generator)
        #expect(sent == [.init(topics: all, isLooking: true)])
        #expect(schedule.nextAt == .infinity)
        #expect(Set(schedule.topicsOfInterest(isLooking: false, now: 64)) == Set(all))
        #expect(schedule.topicsOfInterest(isLooking: false, now: 66).isEmpty)
        #expect(schedule.topicsOfInterest(isLooking: true, now: 6).isEmpty)
    }

    /// However often it is asked, looked for and announced: two a second after a burst of eight,
    /// and whatever was asked for is answered within a second.
    @Test(arguments: 0..<10 as Range<UInt64>)
    func noFloodOfQuestionsMakesAFloodOfAnswers(_ seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        var schedule = LocalSchedule(now: 0)
        let all = try topics(200)
        for topic in all { schedule.announce(topic, now: 0, using: &generator) }
        var sent: [(at: Instant, message: LocalSchedule.Message)] = []
        for step in 0..<3000 {
            let now = Double(step) / 100
            schedule.asked(for: [all[step % 200]], now: now, using: &generator)
            if step % 7 == 0 { schedule.find(all[step % 200], now: now) }
            sent += run(&schedule, from: now, to: now, using: &generator)
        }
        for (first, start) in sent.enumerated() {
            for (last, end) in sent.enumerated().dropFirst(first) {
                #expect(Double(last - first) <= 8 + 2 * (end.at - start.at) + 1e-6, "seed \(seed)")
            }
        }
        #expect(sent.count > 50)
    }

    @Test func whatIsHeardIsCounted() throws {
        var schedule = LocalSchedule(now: 0)
        func address(_ number: Int) throws -> IPAddress {
            try #require(IPAddress([10, 0, UInt8(number / 256), UInt8(number % 256)]))
        }
        let one = try (0..<1000).filter { _ in schedule.admit(from: try address(1), now: 0) }.count
        #expect(one == 20)
        let others = try (2..<1000).filter { schedule.admit(from: try address($0), now: 0) }.count
        #expect(others == 80, "a hundred in all")
        let later = try (0..<1000).filter { _ in schedule.admit(from: try address(1), now: 1) }
        #expect(later.count <= 20)
    }

    @Test func whatIsSoughtIsBounded() throws {
        var generator = SeededGenerator(seed: 1)
        var schedule = LocalSchedule(now: 0)
        for topic in try topics(1000) { schedule.find(topic, now: 0) }
        #expect(schedule.topicsOfInterest(isLooking: false, now: 1).count == 256)
        #expect(schedule.due(now: 0, using: &generator).map(\.topics.count) == [128, 128])
    }
}

/// When a topic is looked for, in virtual time.
struct LookupScheduleTests {
    private func topic(_ number: UInt8) throws -> Topic {
        try #require(Topic([UInt8](repeating: number, count: 20)))
    }

    /// The times at which a topic is looked for, in steps of 50 ms.
    private func times(
        to end: Instant, hasPeers: Bool = false, _ schedule: inout LookupSchedule,
        needs: (Instant) -> (waiting: Set<Topic>, thin: Set<Topic>)
    ) -> [Instant] {
        stride(from: 0, through: end, by: 0.05).filter { now in
            let (waiting, thin) = needs(now)
            return !schedule.due(waiting: waiting, thin: thin, hasPeers: hasPeers, now: now).isEmpty
        }
    }

    @Test func whoWaitsIsHelpedAtOnceAndThenLessOften() throws {
        let one = try topic(1)
        var schedule = LookupSchedule()
        let found = times(to: 200, &schedule) { _ in ([one], []) }
        let pauses = zip(found, found.dropFirst()).map { ($1 - $0).rounded() }
        #expect(found.first == 0)
        #expect(pauses == [1, 2, 4, 8, 16, 30, 30, 30, 30, 30])
    }

    @Test func connectedPeersAreGivenAMoment() throws {
        let one = try topic(1)
        var schedule = LookupSchedule()
        let found = times(to: 0.5, hasPeers: true, &schedule) { now in
            (now < 0.08 ? [one] : [], [])
        }
        #expect(found.isEmpty)
        var other = LookupSchedule()
        let waited = times(to: 0.5, hasPeers: true, &other) { _ in ([one], []) }
        #expect(waited.count == 1 && waited.allSatisfy { $0 >= 0.1 })
    }

    @Test func whatFewHoldIsLookedForOnceAMinuteUntilSomebodyWaits() throws {
        let one = try topic(1)
        var schedule = LookupSchedule()
        let found = times(to: 190, &schedule) { now in (now >= 150 ? [one] : [], [one]) }
        #expect(found.filter { $0 < 150 }.count == 3)
        #expect(found.contains { (150...151.1).contains($0) })
    }

    @Test func whoTurnsAwayAndBackDoesNotBeginAnew() throws {
        let one = try topic(1)
        var schedule = LookupSchedule()
        let found = times(to: 60, &schedule) { now in (Int(now * 4) % 2 == 0 ? [one] : [], []) }
        #expect(found.count <= 8)
        let later = schedule.due(waiting: [one], thin: [], hasPeers: false, now: 1000)
        #expect(later == [one])
    }
}
