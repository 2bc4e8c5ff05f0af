internal import Logging
internal import NIOPosix
internal import PetalsCodec
internal import PetalsCore
internal import PetalsStore
internal import Synchronization

extension CreditKeeper {
    /// Verified leaves of a shard came: this node owes for them, and signs when enough have come.
    ///
    /// Called on worker threads, once for each leaf that a peer was asked for.
    func received(
        leaves: Int, of blob: BlobID, _ shard: ShardIndex, price: Int?,
        from connection: PeerConnection
    ) {
        guard leaves > 0 else { return }
        prices.verified(connection.peerID, has: .init(blob, shard))
        let bytes = leaves * Limits.leafBytes
        let mills = Mills(bytes: bytes, price: price ?? connection.credit.price)
        blobs.withLock { blobs in
            var row = blobs[blob] ?? CreditBlobRow(blob: blob)
            row.receivedBytes += bytes
            row.received += mills
            blobs[blob] = row
        }
        if connection.credit.note(received: bytes, mills) {
            sendReceipt(to: connection)
        }
    }

    /// Signs and sends a receipt, where one is due.
    func sendReceipt(to connection: PeerConnection) {
        let (now, seconds) = (MonotonicClock.now, time())
        let (receipt, hasToWait) = change { state -> (Receipt?, Bool) in
            guard let terms = state.meetings[connection.id]?.terms else { return (nil, false) }
            let quantum = max(terms.quantum, CreditMeter.quantumMin)
            state.enter(connection.id, now: now, at: seconds)
            let receipt = state.ledger.dueReceipt(
                to: connection.peerID, quantum: quantum, now: now, at: seconds)
            if receipt != nil, let entered = state.meetings[connection.id]?.tally.entered.received {
                connection.credit.noteReceipt(over: entered)
            }
            // A number is used when the disk knows that it may be.
            return (receipt, state.unkept.isUrgent || state.ledger.hasUrgentEntries)
        }
        guard let receipt else { return }
        send(receipt, to: connection, hasToWait: hasToWait)
    }

    /// Signs for all that came, on every connection, before they are closed.
    func signOff() async {
        do {
            try await writer.runIfActive {
                let connections = self.state.withLock { $0.meetings.values.map(\.connection) }
                for connection in connections { self.sendNewestReceipt(to: connection) }
                // Those that had to wait for the disk.
                self.keepNow()
            }
        } catch {
            logger.debug("the last receipts were not sent: \(error)")
        }
    }

    private func send(_ receipt: Receipt, to connection: PeerConnection, hasToWait: Bool) {
        let signed = Signed(receipt, by: identity.signing)
        guard hasToWait else { return connection.send(.receipt(signed)) }
        // Sent even if the disk failed: without receipts this node would get nothing more, and a
        // number that is used twice after a crash can hurt nobody but itself.
        whenKept { _ in connection.send(.receipt(signed)) }
    }

    // MARK: What peers tell on connecting

    func receive(_ terms: CreditTerms, from connection: PeerConnection) {
        change { $0.meetings[connection.id]?.terms = terms }
        connection.credit.take(terms)
        whenTerms((connection, terms.priceMax))
    }

    /// The peer shows what it has of this node's: whatever was signed counts, and then what these
    /// books have beyond that is signed.
    func receive(_ balance: CreditBalance, from connection: PeerConnection) {
        pool.submit { [self] poolState in
            guard case .active = poolState else { return }
            let seconds = time()
            if let shown = balance.receipt {
                guard shown.statement.debtor == identity.peerID,
                    shown.statement.creditor == connection.peerID
                else {
                    return refuse(
                        connection,
                        PetalsError(
                            .protocolViolation,
                            "peer \(connection.peerID.label) shows a receipt of somebody else"))
                }
                do throws(PetalsError) {
                    let receipt = try Verified(shown, by: Ed25519Verifier())
                    let isNews = change { $0.ledger.recall(receipt, at: seconds) }
                    if isNews {
                        logger.notice(
                            """
                            peer \(connection.peerID.label) shows a receipt over more than this \
                            node remembers; what it signed counts
                            """)
                    }
                } catch {
                    return refuse(connection, error)
                }
            }
            sendNewestReceipt(to: connection)
        }
    }

    /// Signs for all that this node owes a peer, of whatever connection.
    private func sendNewestReceipt(to connection: PeerConnection) {
        let (now, seconds) = (MonotonicClock.now, time())
        let (receipt, hasToWait) = change { state -> (Receipt?, Bool) in
            guard state.meetings[connection.id]?.terms != nil else { return (nil, false) }
            state.enter(connection.id, now: now, at: seconds)
            let receipt = state.ledger.dueReceipt(
                to: connection.peerID, quantum: 0, now: now, at: seconds)
            return (receipt, state.unkept.isUrgent || state.ledger.hasUrgentEntries)
        }
        guard let receipt else { return }
        send(receipt, to: connection, hasToWait: hasToWait)
    }
}
