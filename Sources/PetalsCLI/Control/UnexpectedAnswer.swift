internal import PetalsCore

// A node that runs goes on with the program it was started with. After an update, a command of the
// new one may be told what it does not know: that is an error, and never a success without a word.

extension ControlResult {
    /// What a command throws that got the answer to some other request.
    static var unexpected: PetalsError { otherVersion("it answered another request") }

    /// What a command throws that cannot make use of what a node said.
    ///
    /// - Parameter reason: what was wrong, as the end of a sentence.
    static func otherVersion(_ reason: String) -> PetalsError {
        PetalsError(
            .unavailable,
            "the running node gave an answer that this petalsfs does not understand (\(reason)); "
                + "it may be of another version: end it and start it again")
    }
}

extension Conductor {
    /// Carries out a request that is answered by nothing but that it was done.
    ///
    /// - Throws: `PetalsError`.
    func carryOut(_ request: ControlRequest) async throws {
        guard case .done = try await perform(request) else { throw ControlResult.unexpected }
    }
}
