import PetalsCodec
import PetalsCore
import PetalsStore
import PetalsTesting
import Synchronization
import Testing

@testable import ShardFetch

/// What readers wait on, and what is kept in memory for them.
struct WaitingTests {
    static let sample = Result {
        try SampleBlob(seed: 7, size: 1_500_000, dataShards: 2, groupShards: 4)
    }

    private func cell(_ shard: Int, _ cell: Int) throws -> VerifiedLeaves {
        let address = CellAddress(shard: ShardIndex(shard), cell: CellIndex(cell))
        return try #require(try Self.sample.get().cells[address])
    }

    private func key(_ leaves: VerifiedLeaves) -> FetchScheduler.CellKey {
        FetchScheduler.CellKey(blob: .init(1), address: leaves.address)
    }

    // MARK: Tickets

    @Test func leavesThatCameBeforeTheWait() async throws {
        let whole = try cell(0, 0)
        let ticket = ReadTicket(missing: [key(whole): LeafSet(2..<5)])
        #expect(!ticket.deliver(whole.part(0..<2), of: key(whole)))
        #expect(!ticket.deliver(whole.part(2..<4), of: key(whole)))
        #expect(ticket.missing == [key(whole): LeafSet(4..<5)])
        #expect(ticket.deliver(whole.part(4..<6), of: key(whole)))
        #expect(ticket.deliver(whole, of: key(whole)))
        try await ticket.wait()
        #expect(ticket.missing.isEmpty)
        #expect(ticket.parts[key(whole)]?.map(\.leaves) == [2..<4, 4..<6])
    }

    @Test func leavesThatComeDuringTheWait() async throws {
        let one = try cell(0, 0)
        let other = try cell(1, 0)
        for _ in 0..<200 {
            let ticket = ReadTicket(
                missing: [key(one): LeafSet(first: 16), key(other): LeafSet(first: 16)])
            async let waited: Void = ticket.wait()
            await withTaskGroup { group in
                for (key, part) in [
                    (key(one), one.part(0..<8)), (key(one), one.part(8..<16)), (key(other), other),
                ] {
                    group.addTask { _ = ticket.deliver(part, of: key) }
                }
            }
            try await waited
        }
    }

    @Test func aFailureEndsTheWaitWithItsError() async throws {
        let whole = try cell(0, 0)
        let early = ReadTicket(missing: [key(whole): LeafSet(first: 16)])
        early.fail(PetalsError(.notFound, "gone"))
        early.fail(PetalsError(.system, "another"))
        _ = early.deliver(whole, of: key(whole))
        await #expect { try await early.wait() } throws: {
            ($0 as? PetalsError)?.code == .notFound
        }
        let done = ReadTicket(missing: [key(whole): LeafSet(first: 16)])
        _ = done.deliver(whole, of: key(whole))
        done.fail(PetalsError(.notFound, "too late"))
        try await done.wait()
    }

    @Test(arguments: [false, true])
    func cancellingEndsTheWait(_ isBefore: Bool) async throws {
        let whole = try cell(0, 0)
        let ticket = ReadTicket(missing: [key(whole): LeafSet(first: 16)])
        let task = Task { () -> PetalsError.Code? in
            // Cancelled before the wait begins, or (most likely) during it.
            if isBefore { while !Task.isCancelled { await Task.yield() } }
            do throws(PetalsError) {
                try await ticket.wait()
                return nil
            } catch {
                return error.code
            }
        }
        if !isBefore { await Task.yield() }
        task.cancel()
        #expect(await task.value == .cancelled)
    }

    // MARK: Hot cells

    /// The memory is bounded, and holds the latest cells.
    @Test func hotCellsStayWithinTheirBytesAndForgetTheOldestFirst() throws {
        let sample = try Self.sample.get()
        let room = 3 * Limits.cellBytes
        let hot = HotCells(bytesMax: room)
        var order: [VerifiedLeaves] = []
        for cell in sample.cells.sorted(by: { $0.key < $1.key }).map(\.value) {
            for part in [cell.part(0..<1), cell.part(1..<cell.leaves.count)] {
                hot.insert(part, blob: .init(1))
                #expect(hot.bytes <= room)
            }
            order.append(cell)
            var bytes = 0
            for recent in order.reversed() {
                bytes += recent.bytes.count
                let expected = bytes <= room ? LeafSet(recent.leaves) : .none
                #expect(hot.present(key(recent)) == expected)
            }
        }
        for (number, gone) in order.suffix(3).reversed().enumerated() {
            hot.remove(key(gone))
            #expect(hot.parts(key(gone)).isEmpty)
            #expect(
                hot.bytes
                    == order.suffix(3).dropLast(number + 1).reduce(0) {
                        $0 + $1.bytes.count
                    })
            hot.remove(key(gone))
        }
        #expect(hot.bytes == 0)
    }

    /// What was read leaves its place to others, though an old cell stays that nobody reads.
    @Test func cellsThatWereReadMakeRoom() throws {
        let hot = HotCells(bytesMax: 3 * Limits.cellBytes)
        let unread = try cell(0, 0)
        let other = try cell(1, 0)
        hot.insert(unread, blob: .init(1))
        for _ in 0..<1_000 {
            hot.insert(other, blob: .init(1))
            #expect(hot.present(key(other)) == LeafSet(other.leaves))
            hot.remove(key(other))
        }
        #expect(hot.present(key(unread)) == LeafSet(unread.leaves))
        #expect(hot.bytes == unread.bytes.count)
    }

    /// One blob is let go of; another stays, and is counted right afterwards.
    @Test func aBlobLeavesTheMemory() throws {
        let cells = try (0..<2).map { try cell($0, 0) }
        let hot = HotCells(bytesMax: 3 * Limits.cellBytes)
        for whole in cells {
            for blob in [1, 2] { hot.insert(whole.part(0..<8), blob: .init(blob)) }
        }
        hot.remove(.init(1))
        #expect(hot.bytes == Limits.cellBytes)
        for whole in cells {
            #expect(hot.present(key(whole)) == .none)
            let other = FetchScheduler.CellKey(blob: .init(2), address: whole.address)
            #expect(hot.present(other) == LeafSet(first: 8))
        }
        // What comes back is as young as anything.
        hot.insert(cells[0], blob: .init(1))
        hot.insert(cells[1], blob: .init(1))
        #expect(hot.bytes == 3 * Limits.cellBytes && hot.present(key(cells[0])).count == 16)
    }

    // MARK: Delivery

    /// A reader comes when leaves have arrived and their fetch is not over yet, and finds nothing
    /// in memory: the leaves are handed to him all the same, and nothing is fetched again.
    @Test func aReaderWhoComesBetweenIsServed() async throws {
        let sample = try Self.sample.get()
        var options = LoopbackNode.Options()
        options.memory = .none
        let node = try LoopbackNode(options)
        let engine = node.node.engine
        let session = engine.session(for: try sample.install(in: node.store, shards: []))
        let whole = try cell(0, 0)
        let key = session.key(whole.address)
        engine.perform {
            $0.scheduler.want(key, leaves: LeafSet(first: 16), urgency: .demand)
        }
        #expect(engine.wantedCells == 1)
        let ticket = ReadTicket(missing: [key: LeafSet(2..<9)])
        engine.deliver(whole, session: session) { $0.tickets[key] = [ticket] }
        try await ticket.wait()
        #expect(ticket.parts[key] == [whole] && engine.wantedCells == 0)
        #expect(engine.state.withLock { $0.tickets.isEmpty })
        // Whoever has all that he wants wants nothing.
        engine.want([key: LeafSet(2..<9)], ticket: ticket)
        engine.wantBulk(session, [whole.address])
        #expect(engine.wantedCells == 0)
    }

    @Test func noRoomAtAllKeepsNothing() throws {
        let hot = HotCells(bytesMax: 0)
        hot.insert(try cell(0, 0), blob: .init(1))
        #expect(hot.bytes == 0)
        #expect(hot.parts(key(try cell(0, 0))).isEmpty)
    }
}
