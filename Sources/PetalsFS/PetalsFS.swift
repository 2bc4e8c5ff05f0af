//
// PetalsFS: the files.
//
// This room shows models to the kernel as ordinary read-only files. It does not know where bytes
// come from: it asks a `FileContent`, which the network room's reader is adapted to.
//
// The walk through it, for one read:
//
//   Fuse/   a libfuse thread decodes the request, makes a `FuseReply` that must be answered exactly
//           once, and calls. Callbacks contain no thought: decode, call, reply.
//   Tree/   `TreeStore` says what the handle stands for. It answers `lookup`, `stat`, `readdir`,
//           `getfattr` from memory, from an immutable tree of nodes for each version of a model.
//   Read/   `ReadDispatcher` clamps the range to the end of the file and asks the content. What is
//           here already is answered on the same thread, with no task and no hop, since a hop to a
//           task and back costs 13 us, five times a decompression. What must be fetched becomes one
//           task, which owns the reply until it arrives, is interrupted, or passes its deadline.
//
// Content is immutable, so the kernel may keep names, attributes and pages for ever. What changes
// is only which models there are: `TreeStore.update(models:)` swaps them, and the mount then tells
// the kernel to forget the names that went away or mean another version now. Inode numbers are
// never reused in a session, so an open file stays the file that was opened.
//
// What it never does: block a FUSE thread on a peer; give a short read or an unverified byte; touch
// its own mount from its own process (a thread that waits for itself waits for ever); trust the
// state of a mount point that a crash may have left behind.
//
// On a crash nothing is lost but the mount itself; `MountPoint.prepare` clears it at the next
// start.
//
