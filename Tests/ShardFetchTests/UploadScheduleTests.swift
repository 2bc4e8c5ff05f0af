import PetalsCore
import Testing

@testable import ShardFetch

/// What a person writes of limits, and what it means at each minute of the day.
@Suite struct UploadScheduleTests {
    @Test func aLimitAloneHoldsAllDay() throws {
        let cases: [(String?, Int?)] = [
            (nil, nil), ("none", nil), ("0", 0), ("1M", 1_000_000), ("800KiB", 819_200),
            ("16KiB", 16_384),
        ]
        for (text, rate) in cases {
            let schedule = try UploadSchedule(limit: text, times: nil)
            for minute in 0..<1440 { #expect(schedule.rate(atMinute: minute) == rate) }
        }
    }

    /// Each minute of the day against a table that is filled minute by minute.
    @Test func aTableIsFollowedByTheMinute() throws {
        let schedule = try UploadSchedule(
            limit: "5M", times: "22:00-06:30=20M,06:30-07:00=none,8:15-22:00=0")
        var model = [Int?](repeating: 5_000_000, count: 1440)
        for minute in 22 * 60..<1440 { model[minute] = 20_000_000 }
        for minute in 0..<390 { model[minute] = 20_000_000 }
        for minute in 390..<420 { model[minute] = nil }
        for minute in 495..<1320 { model[minute] = 0 }
        for minute in 0..<1440 { #expect(schedule.rate(atMinute: minute) == model[minute]) }
        #expect(schedule.times == "22:00-06:30=20000000,06:30-07:00=none,08:15-22:00=0")
        #expect(try UploadSchedule(limit: "5M", times: schedule.times) == schedule)
    }

    @Test func theWholeDayCanBeOneRange() throws {
        for text in ["00:00-24:00=1M", "0:00-24:00=1MB"] {
            let schedule = try UploadSchedule(limit: nil, times: text)
            #expect((0..<1440).allSatisfy { schedule.rate(atMinute: $0) == 1_000_000 })
        }
    }

    /// One sentence that names the option.
    @Test(arguments: [
        "", ",", "22:00-06:00", "22:00=1M", "22:00-06:00=", "22:00-06:00=fast", "25:00-06:00=1M",
        "22:60-06:00=1M", "24:00-06:00=1M", "22:00-22:00=1M", "22-06=1M", "22:00-06:00=1M,",
        "22:00-06:00=1M=2M", "22:00-06:00-07:00=1M", "22:00-24:01=1M", "22:00-06:00=15KiB",
        "22:00-06:00=1M,05:59-07:00=2M", "00:00-24:00=1M,12:00-13:00=2M", "+1:00-02:00=1M",
        "12:00-13:00=1M,00:00-24:00=2M", "22:00-06:00=-1M", "٢٢:00-06:00=1M",
        Array(repeating: "00:00-00:01=1M", count: 49).joined(separator: ","),
    ]) func badTablesAreRefused(text: String) {
        let error = #expect(throws: PetalsError.self) {
            try UploadSchedule(limit: nil, times: text)
        }
        #expect(error?.code == .badInput && error?.message.contains("--upload-times") == true)
    }

    @Test(arguments: ["", "x", "-1", "16383", "1", "2P", "1M/s", "0x10", "nan", "inf", "1e400"])
    func badLimitsAreRefused(text: String) {
        let error = #expect(throws: PetalsError.self) {
            try UploadSchedule(limit: text, times: nil)
        }
        #expect(error?.code == .badInput && error?.message.contains("--upload-limit") == true)
    }
}
