internal import Foundation
internal import Testing

extension MountTests {
    /// S33 on a wire: an owner and a follower that nobody introduces, in networks of their own.
    @Suite(.enabled("needs root and ip(8), for networks of its own") { Machine.canMakeNetworks })
    struct CatalogueNewsTests {
        /// Two machines on one wire, as in `FindingTests`: the first one signs, the second one
        /// follows and mounts; then the first one lists one model after the other.
        ///
        /// `$1` is the program, `$2` a folder, `$3` the catalogue's link; the rest are models. For
        /// each, the script prints the milliseconds from the end of `catalog add` until the name is
        /// in the folder of the other machine.
        private static let script = """
            set -eu
            petalsfs=$1 folder=$2 link=$3
            shift 3
            ip link set lo up
            unshare -n sleep 600 &
            other=$!
            trap 'kill $other' EXIT
            until [ "$(readlink /proc/$other/ns/net)" != "$(readlink /proc/$$/ns/net)" ]; do
                sleep 0.02
            done
            ip link add wire0 type veth peer name wire1 netns $other
            ip address add 10.67.0.1/24 dev wire0
            ip link set wire0 up
            nsenter -t $other -n ip link set lo up
            nsenter -t $other -n ip address add 10.67.0.2/24 dev wire1
            nsenter -t $other -n ip link set wire1 up
            "$petalsfs" serve --state "$folder/publisher" --no-dht -vv \\
                >"$folder/serve.out" 2>"$folder/serve.log" &
            publisher=$!
            trap 'kill $other $publisher' EXIT
            "$petalsfs" catalog follow "$link" --state "$folder/reader" >/dev/null
            nsenter -t $other -n "$petalsfs" mount "$folder/mnt" --state "$folder/reader" \\
                --no-dht -vv >"$folder/mount.out" 2>"$folder/mount.log" &
            mounted=$!
            until grep -q ready "$folder/mount.out"; do
                kill -0 $mounted
                sleep 0.02
            done
            until "$petalsfs" catalog ls --state "$folder/reader" --json |
                grep -q '"sequence" *: *1'; do
                sleep 0.1
            done
            for name in "$@"; do
                "$petalsfs" catalog add Wire "$name" --state "$folder/publisher" >/dev/null
                begin=$(date +%s%3N)
                until ls "$folder/mnt" | grep -qxF "$name"; do
                    [ $(($(date +%s%3N) - begin)) -lt 60000 ]
                    sleep 0.01
                done
                echo "$name $(($(date +%s%3N) - begin))"
                cmp "$folder/$name" "$folder/mnt/$name"
            done
            "$petalsfs" umount "$folder/mnt" --state "$folder/reader"
            wait $mounted
            """

        @Test func newsIsInTheFolderOfAnotherMachine() async throws {
            try await World.with { world in
                let names = ["a.gguf", "b.gguf", "c.gguf"]
                for (seed, name) in names.enumerated() {
                    let path = try await Samples.noise(world, name, bytes: 100_003, seed: seed)
                    _ = try await world.publish(path)
                }
                let link = try await world.petals("publisher", "catalog", "create", "Wire")
                    .succeeded().trimmingCharacters(in: .whitespacesAndNewlines)
                _ = try world.makeFolder("mnt")
                let finished = try await world.start(
                    [
                        "unshare", "-n", "sh", "-c", Self.script, "sh", Machine.program,
                        world.folder, link,
                    ] + names
                ).finish()
                let log = (try? String(contentsOfFile: world.path("mount.log"), encoding: .utf8))
                let lines = finished.text.split(separator: "\n").map { $0.split(separator: " ") }
                #expect(
                    lines.map { $0.first.map(String.init) } == names, "\(finished.told)\(log ?? "")"
                )
                print("shown after (ms):", lines.compactMap(\.last).joined(separator: " "))
            }
        }
    }
}
