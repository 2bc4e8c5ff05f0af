/// How a peer is named wherever people read of it: status, credits, logs.
///
/// One form everywhere, so that what a log says of a peer is found in the status, and back.
extension PeerID {
    /// The whole name: base32, as of every other public key.
    package var peerName: String { Base32.encode(bytes) }

    /// As much of the name as is shown where there is not room for all.
    package var label: String { Self.label(of: peerName) }

    /// The same of a name.
    package static func label(of peerName: String) -> String { String(peerName.prefix(16)) }
}
