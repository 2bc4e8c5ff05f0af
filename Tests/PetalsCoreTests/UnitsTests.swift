import PetalsCore
import Testing

/// Byte counts are read and printed by people: every spelling the contract names, and what is none.
@Suite struct UnitsTests {
    @Test(
        arguments: [
            ("0", 0), ("1", 1), ("123", 123), ("64K", 64_000), ("64k", 64_000),
            ("50G", 50_000_000_000),
            ("1.5T", 1_500_000_000_000), ("250MB", 250_000_000), ("253 MB", 253_000_000),
            ("4GiB", 4 << 30), ("1 KiB", 1024), ("0.5MiB", 512 << 10), ("7B", 7),
            ("2P", 2_000_000_000_000_000),
            ("9007199254740992", 1 << 53),
        ])
    func countIsRead(text: String, bytes: Int) {
        #expect(ByteCount(parsing: text)?.bytes == bytes)
    }

    @Test(
        arguments: [
            "", " ", "-1", "+1", "G", ".", "1..5", "1,5G", "1e3", "0x10", "5X", "5GG", "5 G B",
            "nan",
            "inf", "99999999999G", "9223372036854775808", "1E400", "٣", "５G", "1G\n", "1\u{0}",
        ])
    func whatIsNoCountIsRefused(text: String) {
        #expect(ByteCount(parsing: text) == nil)
    }

    @Test(
        arguments: [
            (0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (1949, "1.9 kB"), (99_949, "99.9 kB"),
            (253_000_000, "253 MB"), (100_449, "100 kB"), (999_499, "999 kB"), (999_999, "1.0 MB"),
            (1_500_000_000_000, "1.5 TB"), (Int.max, "9223 PB"),
        ])
    func countIsPrinted(bytes: Int, text: String) {
        #expect(ByteCount(bytes).description == text)
    }

    @Test func printedCountIsReadBack() throws {
        // One digit behind the point of three before it: never further off than 5 %.
        var bytes = 1
        while bytes < 1 << 50 {
            let read = try #require(ByteCount(parsing: ByteCount(bytes).description)).bytes
            #expect(abs(read - bytes) * 20 <= bytes, "\(bytes)")
            bytes = bytes * 7 / 5 + 1
        }
    }

    @Test func roundingAgreesWithCounting() {
        for value in 0..<200 {
            for step in 1..<20 {
                let multiple = (0...value + step).first { $0 % step == 0 && $0 >= value }
                #expect(roundUp(value, to: step) == multiple)
                #expect(ceilDivide(value, step) * step == multiple)
            }
        }
    }

    @Test func indicesCompareByTheirNumber() {
        #expect(ShardIndex(1) < ShardIndex(2))
        #expect(CellIndex(7).description == "7")
        let address = { (shard: Int, cell: Int) in
            CellAddress(shard: ShardIndex(shard), cell: CellIndex(cell))
        }
        #expect(
            [address(1, 0), address(0, 9), address(0, 1)].sorted()
                == [address(0, 1), address(0, 9), address(1, 0)])
    }

    @Test func limitsKeepTheirPromises() {
        Limits.checkRelations()
    }
}

/// One thing is not several.
@Suite struct CountedTests {
    @Test(arguments: [(0, "0 leaves"), (1, "1 leaf"), (2, "2 leaves"), (11, "11 leaves")])
    func oneIsNotSeveral(count: Int, text: String) {
        #expect(counted(count, "leaf", "leaves") == text)
        #expect(counted(count, "peer") == (count == 1 ? "1 peer" : "\(count) peers"))
    }
}
