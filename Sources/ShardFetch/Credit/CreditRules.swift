package import PetalsCore

/// The numbers of the rules of credit; simulations try others.
package struct CreditRules: Hashable, Sendable {
    // MARK: Memory

    /// Hours in which a balance is worth half: no hoarding, and old debts are forgiven.
    package var balanceHours = 30 * 24
    /// Hours in which a contribution counts half for a peer's line.
    package var grossHours = 14 * 24
    /// Hours in which half of a loss is forgotten.
    ///
    /// A connection that breaks loses what was on its way, and nobody can tell that from a receipt
    /// withheld; after two hours a stranger that lost all of its window has a leaf of it again.
    package var lossHours = 24
    /// The longest line.
    package var lineMax = Mills(bytes: 64 << 30)
    /// Debt from which on a peer has only what nobody else wants.
    package var debtMax = Mills(bytes: 256 << 20)
    /// Accounts that are kept; each has some 600 bytes.
    package var accountsMax = 100_000
    /// A balance that is as good as none when room is needed: one leaf.
    package var dust = Mills(bytes: Limits.leafBytes)

    // MARK: Bytes at risk

    /// What a stranger may have without a receipt: a cell.
    package var windowStart = Mills(bytes: Limits.cellBytes)
    /// What a proven peer may have at least, and at most.
    package var windowProven = Mills(bytes: 1 << 20)
    package var windowMax = Mills(bytes: 16 << 20)
    /// Seconds that a receipt's way counts as at least, when windows grow with the line.
    ///
    /// Windows then grow to half a second's bytes, and receipts become four a second: a signature
    /// and its check take as long as fetching some 100 KiB.
    package var delayLeast: Instant = 0.25
    /// The part of a peer's funds that may be at risk, where others wait: one of so many.
    package var fundsPerWindow: Int64 = 8
    /// Bytes for which one receipt is enough, at most.
    ///
    /// Half of the largest window: at 1 GB/s that is 125 signatures a second, three hundredths of a
    /// core, and a receipt has 8 ms to come back before the other half is sent.
    package var quantumMax = 8 << 20
    /// Seconds after which a receipt is due for whatever has come.
    package var receiptSeconds: Instant = 2
    /// Seconds behind that after which nothing more is sent.
    package var lateSeconds: Instant = 5
    /// Seconds behind that after which the connection is closed and the loss is booked.
    package var lostSeconds: Instant = 30

    // MARK: Assignments and violations

    /// Assignments that one peer may make or be given in a minute.
    package var assignmentsPerMinute = 10
    /// Violations that a peer is forgiven: from the next on its line is nothing for a while.
    package var violationsForgiven = 1
    /// Seconds of that while.
    package var violationSeconds = 86_400
    /// Receipt numbers that are put aside at once, so that not each has to wait for the disk.
    package var sequencesReserved = 1024

    package init() {}
}
