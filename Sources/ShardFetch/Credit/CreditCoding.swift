package import PetalsCore

// Accounts and journal lines as bytes, for a store that need not understand them.
//
// Numbers are 8 bytes, big-endian; digests 32; texts and byte strings have a length of 2 bytes. The
// first byte of each record is its version, so that another one is refused and not misread.

private let version: UInt8 = 1

extension CreditEntry {
    /// The line as bytes.
    package var encoded: [UInt8] {
        var writer = CreditWriter()
        writer.append(version)
        writer.append(peer)
        writer.append(at)
        switch change {
        case .met(let group): writer.append(0, text: group)
        case .gave(let bytes, let mills): writer.append(1, bytes, mills)
        case .took(let bytes, let mills, let epoch):
            writer.append(2, bytes, mills)
            writer.append(Int(epoch))
        case .sequences(let through): writer.append(3, through)
        case .recalled(let epoch, let bytes, let mills):
            writer.append(4, bytes, mills)
            writer.append(Int(epoch))
        case .receipted(let receipt): writer.append(5, receipt)
        case .equivocated(let one, let other):
            writer.append(6, one)
            writer.append(other)
        case .wroteOff(let isDefault): writer.append(7, isDefault ? 1 : 0)
        case .reassigned(let beneficiary, let serial, let mills, let expiry):
            writer.append(8, serial, mills)
            writer.append(expiry)
            writer.append(beneficiary)
        case .issued(let serial): writer.append(9, serial)
        case .spent(let beneficiary, let mills):
            writer.append(10, 0, mills)
            writer.append(beneficiary)
        case .gained(let former, let mills):
            writer.append(11, 0, mills)
            writer.append(former)
        case .violated: writer.append(UInt8(12))
        case .evicted: writer.append(UInt8(13))
        }
        return writer.bytes
    }

    /// Reads a line.
    ///
    /// - Throws: `PetalsError.corrupt` where the bytes are none.
    package init(encoded bytes: [UInt8]) throws(PetalsError) {
        var reader = try CreditReader(bytes)
        let peer = try reader.digest()
        let at = try reader.number()
        let change: Change
        switch try reader.byte() {
        case 0: change = .met(group: try reader.text())
        case 1: change = .gave(bytes: try reader.number(), try reader.mills())
        case 2:
            let (bytes, mills) = (try reader.number(), try reader.mills())
            change = .took(bytes: bytes, mills, epoch: try reader.epoch())
        case 3: change = .sequences(through: try reader.number())
        case 4:
            let (bytes, mills) = (try reader.number(), try reader.mills())
            change = .recalled(epoch: try reader.epoch(), bytes: bytes, mills)
        case 5: change = .receipted(try reader.receipt())
        case 6: change = .equivocated(try reader.receipt(), try reader.receipt())
        case 7: change = .wroteOff(isDefault: try reader.number() != 0)
        case 8:
            let (serial, mills) = (try reader.number(), try reader.mills())
            let expiry = try reader.number()
            change = .reassigned(
                to: try reader.digest(), serial: serial, mills, expiry: expiry)
        case 9: change = .issued(serial: try reader.number())
        case 10:
            let (_, mills) = (try reader.number(), try reader.mills())
            change = .spent(for: try reader.digest(), mills)
        case 11:
            let (_, mills) = (try reader.number(), try reader.mills())
            change = .gained(from: try reader.digest(), mills)
        case 12: change = .violated
        case 13: change = .evicted
        default: throw CreditReader.error
        }
        try reader.end()
        self.init(peer, at: at, change)
    }
}

extension CreditAccount {
    /// The account as bytes.
    package var encoded: [UInt8] {
        var writer = CreditWriter()
        writer.append(version)
        writer.append(peer)
        writer.append(text: group)
        for number in [firstSeen, lastSeen, hour, receivedBytes, givenBytes] {
            writer.append(number)
        }
        for mills in [
            balance, gross, lost, received, given, writtenOff, assignedIn, assignedOut, forgotten,
        ] { writer.append(Int(mills.rawValue)) }
        for number in [Int(debt.epoch), debt.bytes, Int(debt.mills.rawValue)] {
            writer.append(number)
        }
        for number in [debt.sequenceReserved, violations, violationAt, serialIssued] {
            writer.append(number)
        }
        let flags: UInt8 =
            (isInDefault ? 1 : 0) | (hasEquivocated ? 2 : 0) | (receipt == nil ? 0 : 4)
        writer.append(flags)
        if let receipt { writer.append(receipt) }
        writer.append(serials.count)
        for (serial, expiry) in serials.sorted(by: { $0.key < $1.key }) {
            writer.append(serial)
            writer.append(expiry)
        }
        return writer.bytes
    }

    /// Reads an account.
    ///
    /// - Throws: `PetalsError.corrupt` where the bytes are none, or its columns do not balance.
    package init(encoded bytes: [UInt8]) throws(PetalsError) {
        var reader = try CreditReader(bytes)
        let peer = try reader.digest()
        let group = try reader.text()
        self.init(peer, group: group, at: try reader.number())
        lastSeen = try reader.number()
        hour = try reader.number()
        receivedBytes = try reader.number()
        givenBytes = try reader.number()
        balance = try reader.mills()
        gross = try reader.mills()
        lost = try reader.mills()
        received = try reader.mills()
        given = try reader.mills()
        writtenOff = try reader.mills()
        assignedIn = try reader.mills()
        assignedOut = try reader.mills()
        forgotten = try reader.mills()
        debt.epoch = try reader.epoch()
        debt.bytes = try reader.number()
        debt.mills = try reader.mills()
        debt.sequenceReserved = try reader.number()
        violations = try reader.number()
        violationAt = try reader.number()
        serialIssued = try reader.number()
        let flags = try reader.byte()
        isInDefault = flags & 1 != 0
        hasEquivocated = flags & 2 != 0
        if flags & 4 != 0 { receipt = try reader.receipt() }
        let count = try reader.number()
        // Each has 16 bytes: no more are read than there can be.
        guard (0...bytes.count / 16).contains(count) else { throw CreditReader.error }
        for _ in 0..<count { serials[try reader.number()] = try reader.number() }
        try reader.end()
        guard fault == nil else { throw CreditReader.error }
    }
}

// MARK: Fields

private struct CreditWriter {
    private(set) var bytes: [UInt8] = []

    mutating func append(_ byte: UInt8) { bytes.append(byte) }

    mutating func append(_ digest: Digest) { bytes += digest.bytes }

    mutating func append(_ number: Int) {
        for shift in stride(from: 56, through: 0, by: -8) {
            bytes.append(UInt8(truncatingIfNeeded: number >> shift))
        }
    }

    mutating func append(_ kind: UInt8, _ number: Int) {
        append(kind)
        append(number)
    }

    mutating func append(_ kind: UInt8, _ number: Int, _ mills: Mills) {
        append(kind, number)
        append(Int(mills.rawValue))
    }

    mutating func append(_ kind: UInt8, text: String) {
        append(kind)
        append(text: text)
    }

    mutating func append(text: String) { append(string: Array(text.utf8.prefix(255))) }

    mutating func append(_ kind: UInt8, _ receipt: SignedReceipt) {
        append(kind)
        append(receipt)
    }

    mutating func append(_ receipt: SignedReceipt) {
        let statement = receipt.statement
        append(statement.network)
        append(statement.debtor)
        append(statement.creditor)
        append(Int(statement.epoch))
        append(statement.sequence)
        append(statement.bytes)
        append(Int(statement.mills.rawValue))
        append(statement.time)
        append(string: receipt.publicKey)
        append(string: receipt.signature)
    }

    private mutating func append(string: [UInt8]) {
        let part = string.prefix(Int(UInt16.max))
        append(UInt8(truncatingIfNeeded: part.count >> 8))
        append(UInt8(truncatingIfNeeded: part.count))
        bytes += part
    }
}

private struct CreditReader {
    static let error = PetalsError(
        .corrupt,
        "a record of the books of credit is damaged or of another version of petalsfs; the peer "
            + "that it is about keeps what it has signed, the rest of it is lost")

    private var rest: ArraySlice<UInt8>

    init(_ bytes: [UInt8]) throws(PetalsError) {
        rest = bytes[...]
        guard try byte() == version else { throw Self.error }
    }

    private mutating func take(_ count: Int) throws(PetalsError) -> ArraySlice<UInt8> {
        guard rest.count >= count else { throw Self.error }
        defer { rest = rest.dropFirst(count) }
        return rest.prefix(count)
    }

    mutating func byte() throws(PetalsError) -> UInt8 {
        guard let byte = try take(1).first else { throw Self.error }
        return byte
    }

    private mutating func word() throws(PetalsError) -> Int {
        Int(bitPattern: try take(8).reduce(UInt(0)) { $0 << 8 | UInt($1) })
    }

    /// None of the books' numbers is negative, and sums of a few of them fit.
    mutating func number() throws(PetalsError) -> Int {
        let number = try word()
        guard (0...Limits.creditNumberMax).contains(number) else { throw Self.error }
        return number
    }

    mutating func mills() throws(PetalsError) -> Mills { Mills(Int64(try word())) }

    mutating func epoch() throws(PetalsError) -> UInt32 {
        guard let epoch = UInt32(exactly: try number()) else { throw Self.error }
        return epoch
    }

    mutating func digest() throws(PetalsError) -> Digest {
        guard let digest = Digest(try take(Digest.byteCount)) else { throw Self.error }
        return digest
    }

    mutating func text() throws(PetalsError) -> String {
        guard let text = String(validating: try string(), as: UTF8.self) else { throw Self.error }
        return text
    }

    private mutating func string() throws(PetalsError) -> ArraySlice<UInt8> {
        let count = try take(2).reduce(0) { $0 << 8 | Int($1) }
        return try take(count)
    }

    mutating func receipt() throws(PetalsError) -> SignedReceipt {
        let (network, debtor, creditor) = (try digest(), try digest(), try digest())
        let epoch = try epoch()
        let (sequence, bytes, mills) = (try number(), try number(), try mills())
        let receipt = Receipt(
            network: network, debtor: debtor, creditor: creditor, epoch: epoch,
            sequence: sequence, bytes: bytes, mills: mills, time: try number())
        guard let receipt else { throw Self.error }
        return SignedReceipt(
            receipt, publicKey: Array(try string()), signature: Array(try string()))
    }

    func end() throws(PetalsError) {
        guard rest.isEmpty else { throw Self.error }
    }
}
