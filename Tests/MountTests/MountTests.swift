//
// MountTests: the program as people meet it.
//
// Everything here is real: the built `petalsfs`, its processes, sockets, disks and FUSE mounts. A
// test is a person at a shell: it publishes a small model, lets relays hold it, mounts it, reads it
// with cat, cmp, dd and Python, and kills, stops and damages what stands in the way. What the
// program promises is in docs/SEMANTICS.md, and tests carry the numbers of its statements.
//
// Rules of this target:
//
//   * The test process never touches a mount. It would be a thread of ours that waits in the kernel
//     for a process that may be stopped or gone; children do that, and can be killed.
//   * Nothing depends on speed. Tests wait for conditions (`World.wait`), and a wait without end
//     fails after `World.patience`, which is far longer than anything takes.
//   * One test runs at a time (`.serialized` on the one suite that holds all others): the machine
//     has few cores, and mounts are a thing of the whole machine.
//   * A `World` owns what a test starts. When the test ends, in whatever way, the processes are
//     killed by their numbers, the mounts are detached and the folder is deleted.
//
// Without /dev/fuse, or without the right to mount, all of it is skipped, with a line that says so.
//

internal import Foundation
internal import Testing

/// All tests with real mounts, one at a time.
@Suite(
    .serialized,
    .enabled("no /dev/fuse or no petalsfs beside the tests: nothing can be mounted here") {
        Machine.canMount
    })
struct MountTests {}

/// What this machine has.
enum Machine {
    /// The program under test: it is built beside the bundle of the tests.
    static let program = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
        .deletingLastPathComponent().appendingPathComponent("petalsfs").path

    /// Whether FUSE mounts are possible; the reason is printed when they are not.
    static let canMount: Bool = {
        let manager = FileManager.default
        var missing: [String] = []
        if !manager.isWritableFile(atPath: "/dev/fuse") { missing.append("/dev/fuse") }
        if !manager.isExecutableFile(atPath: program) { missing.append(program) }
        for tool in ["fusermount3", "python3", "getfattr", "cmp"]
        where find(tool) == nil {
            missing.append(tool)
        }
        if !missing.isEmpty {
            print("MountTests are skipped: \(missing.joined(separator: ", ")) missing")
        }
        return missing.isEmpty
    }()

    /// Whether mount namespaces of our own are possible, for tests that hide or fill disks.
    static let isRoot = NSUserName() == "root"

    /// Whether networks of our own are possible.
    static let canMakeNetworks = isRoot && find("ip") != nil

    /// Where a tool is on the PATH.
    static func find(_ tool: String) -> String? {
        let path = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin"
        return path.split(separator: ":").map { "\($0)/\(tool)" }
            .first { FileManager.default.isExecutableFile(atPath: $0) }
    }
}
