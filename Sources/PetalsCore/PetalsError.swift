/// The one error that crosses the doors between rooms.
///
/// `message` is a whole sentence for a person: what failed, on what, and what to do about it.
/// Inside a room, narrower typed errors may be thrown; at its door they become this one.
package struct PetalsError: Error, Sendable, CustomStringConvertible {
    /// What kind of failure this is; programs branch on it, people read `message`.
    package enum Code: String, Sendable, CaseIterable {
        /// The person's input is wrong: a path, a link, an option.
        case badInput
        /// What was named does not exist.
        case notFound
        /// Bytes do not match their digest, or a document does not parse.
        case corrupt
        /// A limit of `Limits` was exceeded by a document or a peer.
        case limitExceeded
        /// Somebody else holds what is needed: a lock, a mount point, a name.
        case busy
        /// No peer can give what is needed at the moment.
        case unavailable
        /// Waiting was ended by its deadline.
        case timedOut
        /// Waiting was ended by whoever asked.
        case cancelled
        /// The disk or the quota is full.
        case noSpace
        /// The operating system refused.
        case system
        /// Made by another version of petalsfs.
        case unsupportedVersion
        /// A peer broke the protocol.
        case protocolViolation
    }

    package let code: Code
    package let message: String

    package init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    package var description: String { message }
}
