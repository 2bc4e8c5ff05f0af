package import PetalsCore

/// What `-o` may say, with what a petalsfs mount always says.
package struct MountOptions: Hashable, Sendable {
    /// Whether users other than the one who mounts may read; the kernel then checks permissions.
    package private(set) var allowOther = false
    /// Whether the directory may have something in it, which the mount hides.
    package private(set) var nonEmpty = false
    /// Options that libfuse and the kernel judge.
    package private(set) var others: [String] = []

    /// The options of a mount where the user gave none.
    package init() {}

    /// Reads the user's lists: `["allow_other,noatime", "nonempty"]`.
    ///
    /// Options that only `mount(8)` and systemd act upon are accepted and dropped.
    ///
    /// - Throws: `PetalsError.badInput` for an option that contradicts a read-only mount.
    package init(parsing lists: [String]) throws(PetalsError) {
        for option in lists.flatMap({ $0.split(separator: ",") }).map(String.init) {
            switch option {
            case "allow_other": allowOther = true
            case "nonempty": nonEmpty = true
            case "ro", "nosuid", "nodev", "noexec", "default_permissions": continue
            case "auto", "noauto", "_netdev", "nofail", "user", "nouser", "users", "defaults":
                continue
            case _ where option.hasPrefix("x-"): continue
            case "rw", "suid", "dev", "exec":
                throw PetalsError(
                    .badInput,
                    "the mount option “\(option)” is not possible, since models are read-only and "
                        + "not to be trusted as programs; leave it out")
            case _ where Self.isOurs(option):
                throw PetalsError(
                    .badInput, "the mount option “\(option)” is chosen by petalsfs; leave it out")
            default: others.append(option)
            }
        }
    }

    private static func isOurs(_ option: String) -> Bool {
        ["fsname=", "subtype=", "max_read="].contains { option.hasPrefix($0) }
    }

    /// The one `-o` argument that libfuse gets.
    var argument: String {
        let fixed = [
            "ro", "nosuid", "nodev", "noexec", "fsname=petalsfs", "subtype=petalsfs",
            "max_read=\(Limits.kernelReadBytesMax)",
        ]
        // Without `default_permissions`, nobody would check the permissions that other users have.
        let access = allowOther ? ["allow_other", "default_permissions"] : []
        return (fixed + access + others).joined(separator: ",")
    }
}
