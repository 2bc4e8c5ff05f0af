package import PetalsCore
internal import Synchronization

/// What passes on one connection, counted without a lock by whoever sends and whoever checks.
///
/// Whatever is sent is reserved first, so that parallel streams cannot overdraw, and then posted,
/// or voided where it is not sent after all. The books hear of it in bulk (`CreditTally`): when a
/// receipt comes or goes, each second, and where there is no room; they then say how much more may
/// be sent. So a request costs a few atomic operations, and the books are asked once a window.
package final class CreditMeter: Sendable {
    /// Mills that were sent, and those that are promised to answers which are being read.
    private let promised = Atomic<Int64>(0)
    /// Mills that were sent.
    private let given = Atomic<Int64>(0)
    private let givenBytes = Atomic<Int>(0)
    /// What `promised` may become before the books are asked again.
    private let ceiling = Atomic<Int64>(0)
    /// Mills of verified leaves that came.
    private let received = Atomic<Int64>(0)
    private let receivedBytes = Atomic<Int>(0)
    /// What `received` was when the newest receipt was made.
    private let receipted = Atomic<Int64>(0)
    /// What a receipt is due for.
    private let quantum = Atomic<Int64>(.max)
    /// What a request costs that offers nothing, in mills for 1 KiB.
    private let usualPrice = Atomic<Int>(CreditTerms.basePrice)
    /// Whether the peer asks for more than that.
    private let isDear = Atomic<Bool>(false)
    /// What the peer asks for at most, in mills for 1 KiB.
    private let highestPrice = Atomic<Int>(CreditTerms.basePrice)
    /// Whether the peer has said anything about credit; who has not never signs.
    private let speaks = Atomic<Bool>(false)

    /// Makes the meter of a connection on which nothing has passed.
    package init() {}

    /// Sums of one moment.
    struct Sums {
        var given: Int64 = 0
        var givenBytes = 0
        /// Mills that are promised and were not sent yet.
        var reserved: Int64 = 0
        var received: Int64 = 0
        var receivedBytes = 0
    }

    var sums: Sums {
        let given = given.load(ordering: .acquiring)
        return Sums(
            given: given,
            givenBytes: givenBytes.load(ordering: .relaxed),
            // Read later than what was given of it, so that it is never too little.
            reserved: max(0, promised.load(ordering: .acquiring) - given),
            received: received.load(ordering: .acquiring),
            receivedBytes: receivedBytes.load(ordering: .relaxed))
    }

    var isSpeaking: Bool { speaks.load(ordering: .relaxed) }

    /// The peer has said something about credit: it takes part.
    package func noteSpeaking() { speaks.store(true, ordering: .relaxed) }

    // MARK: Giving

    /// Promises leaves to an answer, as many as may be sent without another receipt.
    ///
    /// Every leaf that was promised is posted or voided, once.
    ///
    /// - Parameters:
    ///   - price: mills for 1 KiB.
    ///   - isContended: whether others wait for what this peer would get.
    ///   - askBooks: has the books say how much there is room for; called where what they said last
    ///     is not enough.
    package func reserve(
        leaves: Int, price: Int, isContended: Bool, askBooks: () -> Void
    ) -> Int {
        let granted = reserve(leaves: leaves, price: price, isContended: isContended)
        if granted == leaves { return granted }
        askBooks()
        guard granted == 0 else { return granted }
        return reserve(leaves: leaves, price: price, isContended: isContended)
    }

    /// The same by what the books said last.
    ///
    /// Whoever asks for what nobody else wants is given it, whether or not it signs: idle capacity
    /// is free. But who takes part, and then does not sign, is not sent more than its window.
    func reserve(leaves: Int, price: Int, isContended: Bool) -> Int {
        let each = Mills(bytes: Limits.leafBytes, price: price).rawValue
        let isBounded = each > 0 && (isContended || isSpeaking)
        var known = promised.load(ordering: .relaxed)
        while true {
            var granted = leaves
            if isBounded {
                let room = max(0, ceiling.load(ordering: .acquiring) - known)
                granted = min(leaves, Int(clamping: room / each))
            }
            guard granted > 0 else { return 0 }
            let (done, current) = promised.compareExchange(
                expected: known, desired: known &+ each * Int64(granted),
                ordering: .acquiringAndReleasing)
            if done { return granted }
            known = current
        }
    }

    /// Leaves that were promised are on their way; before the first of them is.
    package func post(leaves: Int, price: Int) {
        let each = Mills(bytes: Limits.leafBytes, price: price).rawValue
        givenBytes.wrappingAdd(leaves * Limits.leafBytes, ordering: .relaxed)
        given.wrappingAdd(each * Int64(leaves), ordering: .acquiringAndReleasing)
    }

    /// Leaves that were promised are not sent.
    package func void(leaves: Int, price: Int) {
        let each = Mills(bytes: Limits.leafBytes, price: price).rawValue
        promised.wrappingSubtract(each * Int64(leaves), ordering: .acquiringAndReleasing)
    }

    /// Whether a leaf may be sent before a receipt, by what the books said last.
    func hasRoom(price: Int) -> Bool {
        let room = ceiling.load(ordering: .acquiring) - promised.load(ordering: .relaxed)
        return room >= Mills(bytes: Limits.leafBytes, price: price).rawValue
    }

    /// Says how much more may be promised, counted from what was `given` when that was worked out.
    func allow(_ room: Mills, beyond given: Int64) {
        ceiling.store(given &+ max(room, .zero).rawValue, ordering: .releasing)
    }

    // MARK: Receiving

    /// Counts verified leaves.
    ///
    /// - Returns: whether a receipt is due for what came since the last.
    @discardableResult
    package func note(received bytes: Int, _ mills: Mills) -> Bool {
        receivedBytes.wrappingAdd(bytes, ordering: .relaxed)
        let sum = received.wrappingAdd(mills.rawValue, ordering: .acquiringAndReleasing).newValue
        return sum - receipted.load(ordering: .relaxed) >= quantum.load(ordering: .relaxed)
    }

    /// A receipt was made over what had come.
    func noteReceipt(over received: Int64) {
        receipted.store(received, ordering: .relaxed)
    }

    /// The least for which a receipt is made: to sign costs as much as to check four leaves.
    static let quantumMin = 4 * Limits.leafBytes

    /// The peer says what it asks, and for how much it wants a receipt; before that it wants none.
    func take(_ terms: CreditTerms) {
        let bytes = max(terms.quantum, Self.quantumMin)
        quantum.store(Mills(bytes: bytes).rawValue, ordering: .relaxed)
        usualPrice.store(min(terms.price, CreditTerms.basePrice), ordering: .relaxed)
        isDear.store(terms.price > CreditTerms.basePrice, ordering: .relaxed)
        highestPrice.store(terms.priceMax, ordering: .relaxed)
    }

    /// Mills for 1 KiB that this node pays where it has offered nothing else.
    var price: Int { usualPrice.load(ordering: .relaxed) }

    /// Mills for 1 KiB that the peer asks for at most, where it is the only one.
    var ask: Int { highestPrice.load(ordering: .relaxed) }

    /// What to say so that the peer counts the same; nil where it need not be said.
    var offer: Int? { isDear.load(ordering: .relaxed) ? CreditTerms.basePrice : nil }
}
