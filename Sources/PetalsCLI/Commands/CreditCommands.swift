internal import ArgumentParser
internal import PetalsCore
internal import ShardFetch

/// The command `petalsfs credits`.
struct Credits: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Shows who owes whom for bytes.",
        discussion: """
            What this node gave is earned, what it received is spent, and the books are kept for \
            each peer by itself: what one owes cannot be had of another. Where peers want more \
            than --upload-limit lets through, those that have given are served first. What \
            `hold` and donors fetch is free: a peer got it, and nobody owes for it.
            """)

    @Flag(help: "Show every peer, and not only the first ten.")
    var all = false

    @OptionGroup var output: OutputOptions
    @OptionGroup var common: CommonOptions

    /// Peers that are shown without --all.
    private static let peersShown = 10

    func run() async throws {
        let result = try await Conductor(options: common).perform(.credits)
        guard case .credits(let credits) = result else { throw ControlResult.unexpected }
        if output.json { try Output.printJSON(credits) } else { show(credits) }
    }

    private func show(_ credits: CreditStatus) {
        // What is rare earns and costs more than its bytes, and copies less.
        let given = credits.models.reduce(0) { $0 + $1.given }
        let received = credits.models.reduce(0) { $0 + $1.received }
        Terminal.print(
            "earned   \(ByteCount(credits.earned)), for \(ByteCount(given)) given to peers")
        Terminal.print(
            "spent    \(ByteCount(credits.spent)), for \(ByteCount(received)) received from peers")
        Terminal.print(
            "balance  peers owe \(ByteCount(credits.owedToThis)), this node owes "
                + "\(ByteCount(credits.owedByThis))")
        if credits.contended {
            Terminal.print("         peers want more than --upload-limit lets through")
        }
        for model in credits.models {
            Terminal.print(
                "model    \(model.name.isEmpty ? "(not here any more)" : model.name): earned "
                    + "\(ByteCount(model.earned)), spent \(ByteCount(model.spent))")
        }
        let shown = all ? credits.peers[...] : credits.peers.prefix(Self.peersShown)
        for peer in shown { Terminal.print("peer     \(peer.text)") }
        let rest = credits.peers.count - shown.count
        if rest > 0 { Terminal.print("         and \(rest) more; --all shows all") }
    }
}

extension CreditStatus.Peer {
    /// The peer in words.
    var text: String {
        let standing =
            balance >= 0
            ? "is owed \(ByteCount(balance))" : "owes \(ByteCount(-balance))"
        let use =
            switch tier {
            case "funded": "can spend \(ByteCount(funds)) here"
            case "overdrawn": "comes after those who can spend"
            case "newcomer": "shares what is for newcomers"
            default: "has what nobody else wants"
            }
        return "\(PeerID.label(of: id))\(connected ? "" : " (away)") gave \(ByteCount(received)), "
            + "got \(ByteCount(given)), \(standing), \(use)"
            + (writtenOff > 0 ? "; \(ByteCount(writtenOff)) it never signed for" : "")
            + (contradicts ? "; it signed two stories" : "")
            + (violations > 0
                ? "; it broke its word \(violations == 1 ? "once" : "\(violations) times")" : "")
            + (trusted ? "" : "; it has no line because of that")
    }
}

/// A line of `petalsfs status` about who waits.
extension NodeStatus.Waiter {
    var text: String {
        let expects =
            switch tier {
            case "funded": "it has given, and is served first"
            case "overdrawn": "it has given, and had more for it"
            case "newcomer": "a newcomer"
            default: "it has what nobody else wants"
            }
        return "\(PeerID.label(of: id)) for \(counted(requests, "request")), \(expects)"
            + (unpaid ? "; it has to sign for what it had" : "")
    }
}
