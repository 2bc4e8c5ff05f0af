import Dispatch
import PetalsCore
import Synchronization
import Testing

@testable import ShardFetch

/// What a connection counts without a lock: never more than the books allow, whoever counts.
@Suite struct CreditMeterTests {
    private static let leaf = Mills(bytes: Limits.leafBytes).rawValue

    private func leaves(_ count: Int) -> Mills { Mills(Int64(count) * Self.leaf) }

    @Test func whoTakesPartIsSentWhatTheBooksAllow() {
        let meter = CreditMeter()
        meter.noteSpeaking()
        func admit(_ leaves: Int, price: Int = 1000) -> Int {
            meter.reserve(leaves: leaves, price: price, isContended: false)
        }
        #expect(admit(16) == 0 && !meter.hasRoom(price: 1000))
        meter.allow(leaves(5), beyond: 0)
        #expect(admit(3) == 3 && admit(16) == 2 && admit(1) == 0)
        #expect(meter.sums.given == 0 && meter.sums.reserved == 5 * Self.leaf)
        // What is sent is given and reserved no more.
        meter.post(leaves: 3, price: 1000)
        #expect(meter.sums.given == 3 * Self.leaf && meter.sums.reserved == 2 * Self.leaf)
        #expect(meter.sums.givenBytes == 3 * Limits.leafBytes && admit(1) == 0)
        // What is not sent after all makes room, and no more than that.
        meter.void(leaves: 2, price: 1000)
        #expect(meter.sums.given == 3 * Self.leaf && meter.sums.reserved == 0)
        #expect(meter.hasRoom(price: 1000) && !meter.hasRoom(price: 4000))
        #expect(admit(16, price: 4000) == 0 && admit(16) == 2)
        meter.post(leaves: 2, price: 1000)
        // A receipt over all, and a window of four more.
        meter.allow(leaves(4), beyond: meter.sums.given)
        #expect(admit(16, price: 4000) == 1 && admit(1) == 0)
        meter.post(leaves: 1, price: 4000)
        // What is free is not bounded, and counts as bytes only.
        let before = meter.sums
        #expect(admit(16, price: 0) == 16)
        meter.post(leaves: 16, price: 0)
        #expect(meter.sums.given == before.given)
        #expect(meter.sums.givenBytes == before.givenBytes + 16 * Limits.leafBytes)
        // A debt from before: less room than none is none.
        meter.allow(leaves(-3), beyond: meter.sums.given)
        #expect(admit(1) == 0)
    }

    /// The books are asked where what they said last is not enough, and only there.
    @Test func booksAreAskedWhereThereIsNoRoom() {
        let meter = CreditMeter()
        meter.noteSpeaking()
        var asked = 0
        func reserve(_ leaves: Int) -> Int {
            meter.reserve(leaves: leaves, price: 1000, isContended: false) {
                asked += 1
                meter.allow(self.leaves(8), beyond: 0)
            }
        }
        #expect(reserve(6) == 6 && asked == 1)
        #expect(reserve(1) == 1 && asked == 1)
        #expect(reserve(4) == 1 && asked == 2, "a part is enough for now")
        #expect(reserve(4) == 0 && asked == 3)
    }

    @Test func whoSaysNothingHasWhatNobodyElseWants() {
        let meter = CreditMeter()
        meter.allow(leaves(16), beyond: 0)
        #expect(meter.reserve(leaves: 16, price: 1000, isContended: true) == 16)
        #expect(meter.reserve(leaves: 1, price: 1000, isContended: true) == 0)
        for _ in 0..<100 {
            #expect(meter.reserve(leaves: 16, price: 1000, isContended: false) == 16)
        }
        #expect(meter.reserve(leaves: 1, price: 1000, isContended: true) == 0)
        #expect(meter.sums.reserved == 101 * 16 * Self.leaf)
    }

    /// Eight threads take what they can while one pays: in the end exactly what was paid for has
    /// been promised.
    @Test func threadsNeverOverdraw() {
        let meter = CreditMeter()
        meter.noteSpeaking()
        let windows = 200
        let taken = Atomic<Int>(0)
        let paid = Atomic<Int>(0)
        DispatchQueue.concurrentPerform(iterations: 9) { thread in
            if thread == 0 {
                for _ in 0..<windows {
                    // The books know what was given a while ago, and allow a window beyond it.
                    let known = meter.sums.given
                    meter.allow(self.leaves(7), beyond: known)
                    paid.store(Int(known / Self.leaf) + 7, ordering: .releasing)
                }
                return
            }
            for _ in 0..<20_000 {
                let granted = meter.reserve(leaves: thread, price: 1000, isContended: false)
                meter.post(leaves: granted, price: 1000)
                taken.wrappingAdd(granted, ordering: .relaxed)
            }
        }
        let all = taken.load(ordering: .relaxed)
        #expect(Int(meter.sums.given / Self.leaf) == all)
        #expect(all <= paid.load(ordering: .relaxed))
        #expect(all > 0)
    }

    @Test func receiptsAreDueForAQuantum() throws {
        let meter = CreditMeter()
        func note(_ count: Int) -> Bool {
            meter.note(received: count * Limits.leafBytes, leaves(count))
        }
        // Before the peer has said what it wants, none is.
        #expect(!note(1000))
        meter.noteReceipt(over: meter.sums.received)
        meter.take(try terms(quantum: 8 * Limits.leafBytes))
        #expect(!note(7) && note(1) && note(1))
        meter.noteReceipt(over: meter.sums.received)
        #expect(!note(7) && note(1))
        #expect(meter.sums.receivedBytes == 1017 * Limits.leafBytes)
    }

    private func terms(price: Int = 1000, quantum: Int = 1 << 20) throws -> CreditTerms {
        try #require(CreditTerms(epoch: 1, price: price, quantum: quantum, window: 16 << 20))
    }

    /// Nobody makes this node sign for every leaf, or pay more than the usual price unsaid.
    @Test func termsAreTakenWithinReason() throws {
        let meter = CreditMeter()
        meter.take(try terms(price: 1, quantum: 1))
        #expect(meter.price == 1 && meter.offer == nil)
        #expect(!meter.note(received: 3 * Limits.leafBytes, leaves(3)))
        #expect(meter.note(received: Limits.leafBytes, leaves(1)))
        meter.take(try terms(price: 4000))
        #expect(meter.price == 1000 && meter.offer == 1000)
        meter.take(try terms())
        #expect(meter.price == 1000 && meter.offer == nil)
    }
}
