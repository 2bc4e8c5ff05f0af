internal import PetalsCore

/// Sums over all accounts: the contra side of the books.
///
/// Wide enough for any number of accounts at their ends, so that no peer's figures make them wrap.
struct CreditTotals: Hashable, Sendable {
    private var balance: Int128 = 0
    private var received: Int128 = 0
    private var given: Int128 = 0
    private var writtenOff: Int128 = 0
    private var assignedIn: Int128 = 0
    private var assignedOut: Int128 = 0
    private var forgotten: Int128 = 0

    mutating func add(_ account: CreditAccount) { count(account, 1) }

    mutating func remove(_ account: CreditAccount) { count(account, -1) }

    private mutating func count(_ account: CreditAccount, _ sign: Int128) {
        balance += sign * Int128(account.balance.rawValue)
        received += sign * Int128(account.received.rawValue)
        given += sign * Int128(account.given.rawValue)
        writtenOff += sign * Int128(account.writtenOff.rawValue)
        assignedIn += sign * Int128(account.assignedIn.rawValue)
        assignedOut += sign * Int128(account.assignedOut.rawValue)
        forgotten += sign * Int128(account.forgotten.rawValue)
    }

    /// What the columns make.
    var isBalanced: Bool {
        balance == received - given + writtenOff + assignedIn - assignedOut + forgotten
    }
}

extension CreditLedger {
    /// What is wrong with the books; nil where nothing is.
    ///
    /// - Complexity: O(accounts); for tests and for `doctor`.
    package func check() -> String? {
        var sums = CreditTotals()
        for (peer, account) in accounts {
            sums.add(account)
            if let fault = account.fault { return "account of \(peer.label): \(fault)" }
        }
        if sums != totals { return "the sums of the accounts are not the totals" }
        if !totals.isBalanced { return "the totals do not balance" }
        if accounts.count > rules.accountsMax { return "there are \(accounts.count) accounts" }
        return nil
    }
}
