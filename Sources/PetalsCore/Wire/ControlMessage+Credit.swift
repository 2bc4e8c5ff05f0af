internal import Foundation

// What of credit travels. Statements come complete, with the peers that they speak of, so that one
// reading serves the wire and the registry; whether they concern the receiver is asked afterwards.

extension Signed<Receipt> {
    /// Reads a receipt as it is kept.
    ///
    /// - Throws: `PetalsError.corrupt` where it is none.
    package init(parsing bytes: [UInt8]) throws(PetalsError) {
        try self.init(
            message: parseMessage(
                PBReceipt.self, from: bytes, what: "a receipt", bytesMax: Limits.controlBytesMax))
    }

    /// The receipt as it is kept.
    package func serialized() -> [UInt8] { serializeMessage(message) }

    init(message: PBReceipt) throws(PetalsError) {
        let receipt = Receipt(
            network: try Digest(field: message.network, what: "a receipt's network"),
            debtor: try Digest(field: message.debtor, what: "a receipt's debtor"),
            creditor: try Digest(field: message.creditor, what: "a receipt's creditor"),
            epoch: message.epoch, sequence: Int(clamping: message.sequence),
            bytes: Int(clamping: message.bytes),
            mills: Mills(Int64(clamping: message.mills)), time: Int(clamping: message.time))
        guard let receipt else {
            throw PetalsError(.corrupt, "a receipt says what none can say")
        }
        self.init(
            receipt, publicKey: try keyField(message.publicKey),
            signature: try signatureField(message.signature))
    }

    var message: PBReceipt {
        var message = PBReceipt()
        message.network = statement.network.field
        message.debtor = statement.debtor.field
        message.creditor = statement.creditor.field
        message.epoch = statement.epoch
        message.sequence = UInt64(clamping: statement.sequence)
        message.bytes = UInt64(clamping: statement.bytes)
        message.mills = UInt64(clamping: statement.mills.rawValue)
        message.time = UInt64(clamping: statement.time)
        message.publicKey = Data(publicKey)
        message.signature = Data(signature)
        return message
    }
}

extension ControlMessage {
    /// Reads an assignment, or the wish for one, which nobody has signed yet.
    static func assign(_ message: PBAssign) throws(PetalsError) -> ControlMessage {
        let assignment = Assignment(
            network: try Digest(field: message.network, what: "an assignment's network"),
            creditor: try Digest(field: message.creditor, what: "an assignment's creditor"),
            beneficiary: try Digest(
                field: message.beneficiary, what: "an assignment's beneficiary"),
            debtor: try Digest(field: message.debtor, what: "an assignment's debtor"),
            serial: Int(clamping: message.serial), mills: Mills(Int64(clamping: message.mills)),
            expiry: Int(clamping: message.expiry))
        guard let assignment else {
            throw PetalsError(.corrupt, "an assignment says what none can say")
        }
        guard !message.publicKey.isEmpty || !message.signature.isEmpty else {
            return .askAssignment(assignment)
        }
        return .assign(
            Signed(
                assignment, publicKey: try keyField(message.publicKey),
                signature: try signatureField(message.signature)))
    }

    /// Reads the answer to an assignment.
    static func assignReply(_ message: PBAssignAck) throws(PetalsError) -> ControlMessage {
        let reply = AssignmentReply(
            network: try Digest(field: message.network, what: "an answer's network"),
            creditor: try Digest(field: message.creditor, what: "an answer's creditor"),
            beneficiary: try Digest(field: message.beneficiary, what: "an answer's beneficiary"),
            debtor: try Digest(field: message.debtor, what: "an answer's debtor"),
            serial: Int(clamping: message.serial),
            accepted: Mills(Int64(clamping: message.accepted)))
        guard let reply else {
            throw PetalsError(.corrupt, "an answer to an assignment says what none can say")
        }
        return .assignReply(
            Signed(
                reply, publicKey: try keyField(message.publicKey),
                signature: try signatureField(message.signature)))
    }
}

extension Assignment {
    /// - Parameter signed: the key and the signature; nil for the wish for one.
    func message(_ signed: Signed<Assignment>?) -> PBAssign {
        var message = PBAssign()
        message.network = network.field
        message.creditor = creditor.field
        message.beneficiary = beneficiary.field
        message.debtor = debtor.field
        message.serial = UInt64(clamping: serial)
        message.mills = UInt64(clamping: mills.rawValue)
        message.expiry = UInt64(clamping: expiry)
        message.publicKey = Data(signed?.publicKey ?? [])
        message.signature = Data(signed?.signature ?? [])
        return message
    }
}

extension Signed<AssignmentReply> {
    var message: PBAssignAck {
        var message = PBAssignAck()
        message.network = statement.network.field
        message.creditor = statement.creditor.field
        message.beneficiary = statement.beneficiary.field
        message.debtor = statement.debtor.field
        message.serial = UInt64(clamping: statement.serial)
        message.accepted = UInt64(clamping: statement.accepted.rawValue)
        message.publicKey = Data(publicKey)
        message.signature = Data(signature)
        return message
    }
}

extension CreditTerms {
    init(message: PBTerms) throws(PetalsError) {
        let terms = CreditTerms(
            epoch: message.epoch, price: Int(message.price), priceMax: Int(message.priceMax),
            quantum: Int(message.quantum), window: Int(message.window))
        guard let terms else {
            throw PetalsError(.corrupt, "a peer asks for what nobody may ask for its bytes")
        }
        self = terms
    }

    var message: PBTerms {
        var message = PBTerms()
        message.epoch = epoch
        message.price = UInt32(clamping: price)
        message.priceMax = UInt32(clamping: priceMax)
        message.quantum = UInt32(clamping: quantum)
        message.window = UInt32(clamping: window)
        return message
    }
}

extension CreditBalance {
    init(message: PBBalance) throws(PetalsError) {
        self.init(
            received: try Side(message: message.received), given: try Side(message: message.given),
            receipt: message.hasReceipt ? try SignedReceipt(message: message.receipt) : nil)
    }

    var message: PBBalance {
        var message = PBBalance()
        message.received = received.message
        message.given = given.message
        if let receipt { message.receipt = receipt.message }
        return message
    }
}

extension CreditBalance.Side {
    init(message: PBBalanceSide) throws(PetalsError) {
        let side = CreditBalance.Side(
            epoch: message.epoch, bytes: Int(clamping: message.bytes),
            mills: Mills(Int64(clamping: message.mills)))
        guard let side else {
            throw PetalsError(.corrupt, "a peer's books say what none can say")
        }
        self = side
    }

    var message: PBBalanceSide {
        var message = PBBalanceSide()
        message.epoch = epoch
        message.bytes = UInt64(clamping: bytes)
        message.mills = UInt64(clamping: mills.rawValue)
        return message
    }
}

private func keyField(_ field: Data) throws(PetalsError) -> [UInt8] {
    try statementField(field, count: 32, what: "public key")
}

private func signatureField(_ field: Data) throws(PetalsError) -> [UInt8] {
    try statementField(field, count: 64, what: "signature")
}

private func statementField(
    _ field: Data, count: Int, what: String
) throws(PetalsError) -> [UInt8] {
    guard field.count == count else {
        throw PetalsError(
            .corrupt, "a statement's \(what) has \(field.count) bytes instead of \(count)")
    }
    return Array(field)
}
