internal import Foundation
internal import Testing

extension MountTests {
    /// S32: nodes that nobody introduces find each other, in networks that have nobody else.
    @Suite(.enabled("needs root and ip(8), for networks of its own") { Machine.canMakeNetworks })
    struct FindingTests {
        /// Two machines on one wire, without a route to anywhere: network namespaces that end with
        /// their last process, each a node; what the script prints is what the second one read.
        ///
        /// `$1` is the program, `$2` a folder, `$3` the model, `$4` the link and `$5` how many
        /// tenths of a second the model may take to appear; the rest are options of the second
        /// node.
        private static let script = """
            set -eu
            petalsfs=$1 folder=$2 name=$3 link=$4 patience=$5
            shift 5
            if [ -z "${inner:-}" ]; then
                ip link set lo up
                # The wire's other end goes to the namespace of a child.
                unshare -n sleep 600 &
                other=$!
                trap 'kill $other' EXIT
                until [ "$(readlink /proc/$other/ns/net)" != "$(readlink /proc/$$/ns/net)" ]; do
                    sleep 0.02
                done
                ip link add wire0 type veth peer name wire1 netns $other
                ip address add 10.66.0.1/24 dev wire0
                ip link set wire0 up
                "$petalsfs" serve --state "$folder/publisher" --no-dht -vv \\
                    >"$folder/serve.out" 2>"$folder/serve.log" &
                publisher=$!
                trap 'kill $other $publisher' EXIT
                nsenter -t $other -n env inner=1 sh -c "$0" sh "$petalsfs" "$folder" \\
                    "$name" "$link" "$patience" "$@"
                exit
            fi
            ip link set lo up
            ip address add 10.66.0.2/24 dev wire1
            ip link set wire1 up
            "$petalsfs" mount "$folder/mnt" "$link" --state "$folder/reader" --no-dht -vv "$@" \\
                >"$folder/mount.out" 2>"$folder/mount.log" &
            mounted=$!
            until grep -q ready "$folder/mount.out"; do
                kill -0 $mounted
                sleep 0.02
            done
            while [ ! -e "$folder/mnt/$name" ] && [ $patience -gt 0 ]; do
                patience=$((patience - 1))
                sleep 0.1
            done
            [ ! -e "$folder/mnt/$name" ] || sha256sum "$folder/mnt/$name" | cut -c 1-64
            "$petalsfs" status --state "$folder/reader" --json >"$folder/status.json"
            "$petalsfs" umount "$folder/mnt" --state "$folder/reader"
            wait $mounted
            """

        /// Publishes a file and lets the script read it on the other machine.
        private func read(
            _ world: World, patience: Int, with options: [String] = []
        ) async throws -> (read: Finished, sha256: String) {
            let path = try await Samples.noise(world, "model.gguf", bytes: 1_000_003)
            let report = try await world.petals("publisher", "publish", path, "--json")
                .decode(PublishReport.self)
            _ = try world.makeFolder("mnt")
            let finished = try await world.start(
                [
                    "unshare", "-n", "sh", "-c", Self.script, Self.script, Machine.program,
                    world.folder, "model.gguf", report.link, "\(patience)",
                ] + options
            ).finish()
            return (finished, try await world.sha256(path))
        }

        @Test func aMountFindsTheHolderOnItsWire() async throws {
            try await World.with { world in
                let (finished, sha256) = try await read(world, patience: 600)
                let log = (try? String(contentsOfFile: world.path("mount.log"), encoding: .utf8))
                #expect(finished.text == sha256, "\(finished.told)\(log ?? "")")
                let status = try JSONDecoder().decode(
                    StatusReport.self,
                    from: Data(contentsOf: URL(fileURLWithPath: world.path("status.json"))))
                let node = try #require(status.node)
                #expect(node.peers.map(\.origin) == ["lan"])
                #expect(node.peers.allSatisfy { $0.address.hasPrefix("10.66.0.1:") })
                let source = node.sources.first { $0.origin == "lan" }
                #expect(source?.known == 1 && source?.dialled == 1 && source?.connected == 1)
            }
        }

        /// Whoever does not look finds nobody: the model does not appear.
        @Test func aMountThatMayNotLookFindsNobody() async throws {
            try await World.with { world in
                let (finished, _) = try await read(world, patience: 20, with: ["--no-lan"])
                #expect(finished.code == 0 && finished.text.isEmpty, finished.told)
            }
        }
    }
}
