internal import Foundation
internal import PetalsCore
internal import Testing

@testable internal import PetalsFS

/// Goal: what is done before mounting reads the system right.
///
/// Method: texts and directories only; mounts themselves are MountTests' business.
@Suite struct MountPreparationTests {
    @Test func mountTableReadsEscapesAndOptionalFields() {
        let table = MountTable(
            parsing: """
                22 28 0:20 / /sys rw,nosuid shared:7 - sysfs sysfs rw
                36 35 98:0 /mnt1 /mnt\\040a\\134b rw - fuse.petalsfs petalsfs ro
                37 35 0:99 / /sys rw master:1 propagate_from:2 - tmpfs tmpfs rw
                nonsense
                1 2 3 4 5 6 7 8
                38 35 0:7 / /short rw -
                """)
        #expect(table.mounts.count == 3)
        #expect(table.mount(at: "/mnt a\\b")?.type == "fuse.petalsfs")
        #expect(table.mount(at: "/sys")?.device == "0:99", "the last one is on top")
        #expect(table.mount(at: "/") == nil)
    }

    @Test func optionsAreSorted() throws {
        let options = try MountOptions(
            parsing: ["allow_other,noatime", "nonempty", "ro,x-systemd.automount,_netdev,nofail"])
        #expect(options.allowOther && options.nonEmpty && options.others == ["noatime"])
        #expect(options.argument.hasSuffix("allow_other,default_permissions,noatime"))
        #expect(options.argument.hasPrefix("ro,nosuid,nodev,noexec,"))
        #expect(options.argument.contains("max_read=1048576"))
        #expect(!MountOptions().argument.contains("allow_other"))
    }

    @Test(arguments: ["rw", "suid", "dev", "exec", "fsname=x", "max_read=1", "noatime,rw"])
    func optionsThatContradictAreRefused(option: String) {
        #expect(throws: PetalsError.self) { try MountOptions(parsing: [option]) }
    }

    @Test(.enabled(if: FileManager.default.fileExists(atPath: "/dev/fuse")))
    func onlyAnEmptyDirectoryIsPrepared() throws {
        let manager = FileManager.default
        let base = manager.temporaryDirectory.appendingPathComponent(UUID().uuidString).path
        try manager.createDirectory(atPath: base + "/dir", withIntermediateDirectories: true)
        defer {
            do { try manager.removeItem(atPath: base) } catch { Issue.record(error) }
        }
        try manager.createSymbolicLink(atPath: base + "/link", withDestinationPath: "dir")
        try manager.createSymbolicLink(atPath: base + "/loop", withDestinationPath: "loop")
        #expect(manager.createFile(atPath: base + "/file", contents: nil))
        func prepare(_ name: String, _ options: [String] = []) throws -> String {
            try MountPoint.prepare(
                base + "/" + name, options: MountOptions(parsing: options), logger: quiet
            ).path
        }
        func code(_ name: String) -> PetalsError.Code? {
            do {
                _ = try prepare(name)
                return nil
            } catch let error as PetalsError {
                return error.code
            } catch {
                return nil
            }
        }
        let resolved = try prepare("dir")
        #expect(resolved.hasSuffix("/dir"))
        for name in ["dir/", "link", "dir/.", "dir/../dir", "link/"] {
            #expect(try prepare(name) == resolved)
        }
        #expect(code("none") == .notFound && code("none/below") == .notFound)
        #expect(code("file") == .badInput && code("loop") == .badInput)
        #expect(manager.createFile(atPath: base + "/dir/something", contents: nil))
        #expect(code("dir") == .badInput)
        #expect(try prepare("dir", ["nonempty"]) == resolved)
        #expect(throws: PetalsError.self) {
            try MountPoint.prepare("/proc", options: MountOptions(), logger: quiet)
        }
    }
}
