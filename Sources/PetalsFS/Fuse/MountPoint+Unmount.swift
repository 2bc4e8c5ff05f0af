package import PetalsCore

extension MountPoint {
    /// Takes a mount of petalsfs off a directory, from outside of the process that serves it.
    ///
    /// Its node notices, clears its cache and ends; this does not wait for that. Files that are
    /// open go on until they are closed or the node severs them.
    ///
    /// - Throws: `PetalsError.notFound` where nothing of ours is mounted, `.system` where the right
    ///   to unmount is missing.
    package static func unmount(_ path: String) throws(PetalsError) {
        // A dead mount cannot be resolved, since nobody answers for it: it is taken by its name.
        let point = (try? resolve(path)) ?? path
        guard let mount = MountTable.read().mount(at: point), mount.type == fileSystemType else {
            throw PetalsError(
                .notFound, "\(path) is not a mount of petalsfs; `findmnt` shows what is mounted")
        }
        guard MountControl.detach(point) else {
            throw PetalsError(
                .system,
                "\(path) could not be unmounted; run it as the user who mounted it, or as root")
        }
    }
}
