internal import Foundation
internal import Testing

extension MountTests {
    /// Commands beside a node that was started with another petalsfs, and answers what they do not
    /// know: each says so and ends with 1.
    @Suite struct OtherVersionTests {
        /// A node to all looks: it has the folder's lock, and answers each request with one line.
        private static let node = """
            import fcntl, os, socket, sys
            state, status, line = sys.argv[1:]
            os.makedirs(state, 0o700)
            lock = open(state + "/lock", "w")
            fcntl.flock(lock, fcntl.LOCK_EX)
            lock.write(f"{os.getpid()}\\n")
            lock.flush()
            server = socket.socket(socket.AF_UNIX)
            server.bind(state + "/control.sock")
            server.listen(16)
            print("listening", flush=True)
            answer = (line + "\\n").encode()
            while True:
                client, _ = server.accept()
                stream = client.makefile("rb")
                length = 0
                while (header := stream.readline().strip().lower()):
                    name, _, value = header.partition(b":")
                    length = int(value) if name == b"content-length" else length
                stream.read(length)
                client.sendall(f"HTTP/1.1 {status}\\r\\nContent-Length: {len(answer)}\\r\\n"
                               "Connection: close\\r\\n\\r\\n".encode() + answer)
                stream.close()
                client.close()
            """

        private static let done = #"{"result":{"_0":{"done":{}}}}"#
        private static let text = #"{"result":{"_0":{"text":{"_0":"something"}}}}"#

        /// A node that answers everything with the same line.
        private static func start(
            _ state: String, status: String = "200 OK", _ line: String, _ world: World
        ) async throws {
            let child = try world.start(
                ["python3", "-c", node, world.path(state), status, line], name: "node-\(state)")
            try await World.wait("the node to listen") {
                guard child.isRunning else { throw Failure(description: child.errors) }
                return child.output.contains("listening")
            }
        }

        /// Every command that asks a node, and whether it expects to hear only that it was done.
        private static func commands(_ world: World) throws -> [(words: [String], isBare: Bool)] {
            // A key and an id of zeros; the form from before there was a checksum.
            let zeros = { String(repeating: "a", count: $0) }
            let link = "petals:r1:" + zeros(103)
            let file = world.path("file")
            try "bytes".write(toFile: file, atomically: false, encoding: .utf8)
            return [
                (["publish", file], false), (["add", link], false), (["ls"], false),
                (["info", "x"], false), (["rm", "x"], true), (["hold", link], false),
                (["limit", "1M"], true), (["status"], false), (["credits"], false),
                (["prefetch", "x"], true), (["pin", "x"], false), (["unpin", "x"], false),
                (["evict", "x"], false), (["verify"], false), (["catalog", "ls"], false),
                (["catalog", "create", "x"], false), (["catalog", "show", "x"], false),
                (["catalog", "add", "x", "y"], false), (["catalog", "signer"], false),
                (["catalog", "remove", "x", "y"], false),
                (["catalog", "follow", "petals:c1:" + zeros(52)], false),
                (["catalog", "unfollow", "x"], true),
            ]
        }

        @Test func theAnswerToAnotherRequestIsAnError() async throws {
            try await World.with { world in
                try await Self.start("done", Self.done, world)
                try await Self.start("text", Self.text, world)
                for command in try Self.commands(world) {
                    let isSigner = command.words.last == "signer"
                    for state in ["done", "text"]
                    where state != (command.isBare ? "done" : isSigner ? "text" : "") {
                        let finished = try await world.start(
                            ["petalsfs"] + command.words + ["--state", world.path(state)]
                        ).finish()
                        expectRefusal(finished, saying: "it answered another request")
                    }
                }
            }
        }

        /// An answer that came later, and a request that the node does not know.
        @Test func whatCannotBeReadIsAnError() async throws {
            try await World.with { world in
                try await Self.start("later", #"{"result":{"_0":{"later":{}}}}"#, world)
                try await Self.start("refusing", status: "400 Bad Request", "{}", world)
                for command in try Self.commands(world) {
                    for (state, reason) in [("later", "none of those known"), ("refusing", "400")] {
                        let finished = try await world.start(
                            ["petalsfs"] + command.words + ["--state", world.path(state)]
                        ).finish()
                        expectRefusal(finished, saying: reason)
                    }
                }
            }
        }
    }
}
