package import PetalsCore

/// What a node's books of credit say of one peer, as it is kept: bytes that ShardFetch understands.
package struct CreditRow: Hashable, Sendable {
    package let peer: PeerID
    package let account: [UInt8]

    package init(peer: PeerID, account: [UInt8]) {
        self.peer = peer
        self.account = account
    }
}

/// What went out and came in of one blob, in all.
package struct CreditBlobRow: Hashable, Sendable {
    package let blob: BlobID
    package var givenBytes = 0
    package var given = Mills.zero
    package var receivedBytes = 0
    package var received = Mills.zero

    /// A row that says nothing yet.
    package init(blob: BlobID) {
        self.blob = blob
    }

    /// Adds another row's sums.
    package mutating func add(_ other: CreditBlobRow) {
        givenBytes += other.givenBytes
        given += other.given
        receivedBytes += other.receivedBytes
        received += other.received
    }
}

/// Two receipts that one peer signed under one number.
package struct CreditEvidence: Hashable, Sendable {
    package let first: SignedReceipt
    package let second: SignedReceipt
    /// Seconds since 1970.
    package let seenAt: Int

    package init(first: SignedReceipt, second: SignedReceipt, seenAt: Int) {
        self.first = first
        self.second = second
        self.seenAt = seenAt
    }
}

/// What has changed in the books since they were kept last; all of it is kept, or nothing.
package struct CreditChange: Sendable {
    /// Peers as they are now.
    package var rows: [CreditRow] = []
    /// Peers whose accounts were closed to make room.
    package var closed: [PeerID] = []
    package var evidence: [CreditEvidence] = []
    /// What was added to the sums of blobs.
    package var blobs: [CreditBlobRow] = []

    package init() {}

    /// Whether there is nothing to keep.
    package var isEmpty: Bool {
        rows.isEmpty && closed.isEmpty && evidence.isEmpty && blobs.isEmpty
    }
}
