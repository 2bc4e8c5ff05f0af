//
// PetalsCLI: the program.
//
// The only executable. It has four parts:
//
//   Commands/   what a person types, one file a family; they parse, call, and print
//   Control/    the vocabulary between a command and a node (`ControlRequest`, `ControlEvent`), the
//               unix socket that carries it, and its client
//   Assembly/   wires the rooms: state folder, store, identity, node, models, mount
//   Support/    logs, tables, progress bars
//
// Every command that does something is a `ControlRequest`. Where a node runs on the state folder,
// the request goes to it through `control.sock`; where none does, this process opens the folder and
// does it itself, with the same code (`NodeService`). So a person need not know whether a node
// runs, and there is one implementation of everything.
//
// `serve` and `mount` are the two commands that are a node: they hold the folder's lock, listen,
// dial, answer the socket, and end on SIGINT, SIGTERM or, for a mount, when somebody unmounts it.
//
// What is printed on standard output is the result and nothing else (`--json`: one JSON document);
// logs, progress and errors go to standard error. Errors are one sentence. Exit codes: 0 done; 2
// for what the command line alone shows to be wrong (`Usage`); 1 for all else that failed.
//
internal import ArgumentParser
internal import Foundation
internal import Glibc
internal import PetalsCore
internal import ShardFetch

/// The root of all commands.
@main
struct Petalsfs: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "petalsfs",
        abstract: "Mounts AI models as files, fetched from peers and verified as they are read.",
        version: "0.1.0",
        groupedSubcommands: [
            .init(
                name: "Models",
                subcommands: [
                    Publish.self, Add.self, List.self, Info.self, Remove.self, Catalog.self,
                ]),
            .init(
                name: "Nodes",
                subcommands: [
                    Mount.self, Unmount.self, Serve.self, Hold.self, Limit.self, Status.self,
                    Credits.self,
                ]),
            .init(
                name: "Cache and care",
                subcommands: [Prefetch.self, Pin.self, Unpin.self, Evict.self, Verify.self]),
        ])

    static func main() async {
        Allocator.keepMemory()
        // A peer or a reader of our output that goes away is an error of one write, not our end.
        _ = signal(SIGPIPE, SIG_IGN)
        do {
            var command = try parseAsRoot()
            if var asynchronous = command as? any AsyncParsableCommand {
                try await asynchronous.run()
            } else {
                try command.run()
            }
        } catch let error as PetalsError {
            Terminal.printError(error.message)
            Glibc.exit(1)
        } catch {
            let code = exitCode(for: error)
            guard code != .success else { exit(withError: error) }
            if let exitCode = error as? ExitCode { Glibc.exit(exitCode.rawValue) }
            Terminal.printError(message(for: error))
            Glibc.exit(code == .validationFailure ? 2 : 1)
        }
    }
}
