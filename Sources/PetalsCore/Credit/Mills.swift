/// An amount of credit: 1000 mills are one credit, the price of 1 KiB of verified bytes.
///
/// Amounts come from peers, too, so no operation traps: `adding` and `subtracting` say when a
/// result does not fit, and `+` and `-` stop at the ends, which no account comes near.
package struct Mills: Hashable, Comparable, Sendable, CustomStringConvertible {
    package let rawValue: Int64

    /// Nothing.
    package static let zero = Mills(0)
    /// More than any peer can earn: 2^60 mills are a million TiB.
    package static let limit = Mills(1 << 60)

    @inlinable
    package init(_ rawValue: Int64) {
        self.rawValue = rawValue
    }

    /// What some bytes cost at a price, rounded up, and at most `limit`; nothing where either is
    /// not positive.
    ///
    /// - Parameter price: mills for 1 KiB.
    package init(bytes: Int, price: Int = CreditTerms.basePrice) {
        guard bytes > 0, price > 0 else {
            self = .zero
            return
        }
        let product = UInt64(bytes).multipliedFullWidth(by: UInt64(price))
        // A high word of 2^9 and more would be beyond the limit after the division by 1024.
        guard product.high < 1 << 6 else {
            self = .limit
            return
        }
        let floor = product.high << 54 | product.low >> 10
        let mills = floor + (product.low & 1023 == 0 ? 0 : 1)
        self.init(min(Int64(clamping: mills), Mills.limit.rawValue))
    }

    /// The sum; nil where it does not fit.
    package func adding(_ other: Mills) -> Mills? {
        let (sum, overflow) = rawValue.addingReportingOverflow(other.rawValue)
        return overflow ? nil : Mills(sum)
    }

    /// The difference; nil where it does not fit.
    package func subtracting(_ other: Mills) -> Mills? {
        let (difference, overflow) = rawValue.subtractingReportingOverflow(other.rawValue)
        return overflow ? nil : Mills(difference)
    }

    /// This part of the amount, rounded towards zero.
    ///
    /// - Parameter fraction: 0 to 1; anything else counts as the nearer of the two.
    package func scaled(by fraction: Double) -> Mills {
        guard fraction > 0 else { return .zero }
        guard fraction < 1 else { return self }
        return Mills(Int64(exactly: (Double(rawValue) * fraction).rounded(.towardZero)) ?? rawValue)
    }

    /// This part of the amount, rounded towards zero; nothing where the divisor is not positive.
    package func divided(by divisor: Int64) -> Mills {
        divisor > 0 ? Mills(rawValue / divisor) : .zero
    }

    package static func + (a: Mills, b: Mills) -> Mills {
        a.adding(b) ?? Mills(b.rawValue > 0 ? .max : .min)
    }

    package static func - (a: Mills, b: Mills) -> Mills {
        a.subtracting(b) ?? Mills(b.rawValue > 0 ? .min : .max)
    }

    package static func += (a: inout Mills, b: Mills) { a = a + b }

    package static func -= (a: inout Mills, b: Mills) { a = a - b }

    package static prefix func - (a: Mills) -> Mills { .zero - a }

    @inlinable
    package static func < (a: Mills, b: Mills) -> Bool { a.rawValue < b.rawValue }

    /// Bytes that this amount buys at the base price, for people; negative for a debt.
    package var bytesAtBasePrice: Int {
        let (product, overflow) = rawValue.multipliedReportingOverflow(by: 1024)
        // Where the product does not fit, the rest of the division is far below what is shown.
        let price = Int64(CreditTerms.basePrice)
        guard overflow else { return Int(product / price) }
        let (scaled, tooMuch) = (rawValue / price).multipliedReportingOverflow(by: 1024)
        guard tooMuch else { return Int(scaled) }
        return rawValue > 0 ? .max : .min
    }

    package var description: String { "\(rawValue) mills" }
}
