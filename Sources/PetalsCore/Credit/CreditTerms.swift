/// What a server tells a peer that asks it for bytes: what they cost and when receipts are due.
package struct CreditTerms: Hashable, Sendable {
    /// The server's; a debtor counts anew where it has changed.
    package let epoch: UInt32
    /// Mills for 1 KiB where many have it.
    package let price: Int
    /// Mills for 1 KiB where nobody else has it.
    package let priceMax: Int
    /// A receipt is due when so many bytes have come since the last.
    package let quantum: Int
    /// Bytes that may be on their way without a receipt.
    package let window: Int

    /// Names the network in every statement: a receipt of another one means nothing here.
    ///
    /// The SHA-256 of `"petalsfs credit v1"`.
    package static let network = Digest(
        words: (
            0x0fa0_e1d6_d9b2_b951, 0x199e_ec0c_5ab5_6b9f, 0xcd5c_aaf9_21f0_2b94,
            0x73a4_f128_6a62_7a57
        ))
    /// Mills for 1 KiB.
    package static let basePrice = 1000
    /// Mills for 1 KiB of what is rarest.
    package static let highestPrice = 4000

    /// - Returns: nil where the price is none of `1...highestPrice`, the highest is below it, or
    ///   the quantum or the window is not positive, or beyond what may be asked for at once.
    package init?(
        epoch: UInt32, price: Int = basePrice, priceMax: Int = highestPrice, quantum: Int,
        window: Int
    ) {
        let sizes = 1...Limits.requestedBytesPerPeerMax
        guard (1...Self.highestPrice).contains(price),
            (price...Self.highestPrice).contains(priceMax), sizes.contains(quantum),
            sizes.contains(window), quantum <= window
        else { return nil }
        self.epoch = epoch
        self.price = price
        self.priceMax = priceMax
        self.quantum = quantum
        self.window = window
    }
}

/// What one node's books say of what passed between it and the other, in the epoch of either.
///
/// Two nodes show each other theirs on connecting. It has no authority: only the receipt in it has,
/// since the other has signed it.
package struct CreditBalance: Hashable, Sendable {
    /// What the sender's books say that it received, for which it owes.
    package let received: Side
    /// What the sender's books say that it gave, for which the other owes.
    package let given: Side
    /// The newest receipt that the other gave the sender, in case the other has lost count.
    package let receipt: SignedReceipt?

    /// One direction.
    package struct Side: Hashable, Sendable {
        /// The giver's.
        package let epoch: UInt32
        package let bytes: Int
        package let mills: Mills

        /// - Returns: nil where a number is negative or beyond `Limits.creditNumberMax`.
        package init?(epoch: UInt32, bytes: Int, mills: Mills) {
            guard (0...Limits.creditNumberMax).contains(bytes), mills >= .zero, mills <= .limit
            else { return nil }
            self.epoch = epoch
            self.bytes = bytes
            self.mills = mills
        }
    }

    package init(received: Side, given: Side, receipt: SignedReceipt?) {
        self.received = received
        self.given = given
        self.receipt = receipt
    }
}
