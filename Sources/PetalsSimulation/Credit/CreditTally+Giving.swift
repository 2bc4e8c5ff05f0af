internal import PetalsCore
internal import ShardFetch

extension CreditTally {
    /// Sends leaves as `ShardServer` does where disks and lines take no time: what there is room
    /// for is reserved by the meter and posted at once, and the books are asked where it has none.
    ///
    /// - Returns: leaves that are on their way.
    mutating func give(
        _ leaves: Int, price: Int = CreditTerms.basePrice, of ledger: inout CreditLedger,
        isContended: Bool, now: Instant, at seconds: Int
    ) -> Int {
        let granted = meter.reserve(leaves: leaves, price: price, isContended: isContended) {
            enter(in: &ledger, epoch: 1, now: now, at: seconds)
            allow(by: ledger, isContended: isContended, at: seconds)
        }
        meter.post(leaves: granted, price: price)
        return granted
    }
}
