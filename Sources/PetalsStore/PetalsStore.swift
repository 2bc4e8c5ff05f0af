//
// PetalsStore: the disk.
//
// This room keeps what a node must not lose or fetch twice: cells of shards, the hashes that prove
// them, and the registry of models. Everything lies in one state folder, which one process holds at
// a time (`StateFolder`).
//
//   VERSION, lock, identity.key        the folder itself
//   petals.sqlite                      `Registry`: models, blobs, classes of shards, sources,
//                                      catalogues with their logs, books of credit
//   catalogue-<id>.key                 the key of a catalogue that was created here
//   manifests/<manifest id>            sealed manifests, named by their digest
//   publishing/<name>*                 drafts of blobs that are being published (`BlobDraft`)
//   blobs/<blob id>/<shard>.data       cells at their natural offset; what is absent is a hole
//   blobs/<blob id>/<shard>.tree       leaf hashes, then cell hashes; all zero where absent
//
// The tree file is the durable map. A leaf is there when its hash is there; a cell is there when
// all its leaf hashes fold to the cell hash, and the cell hashes to the shard's root, which is in
// the descriptor, whose digest is the blob's id. Every read hashes the bytes again and goes up the
// same way. So it does not matter in what order the disk wrote what, and neither SIGKILL nor power
// loss nor bit rot can make a wrong byte leave the store: a cell that does not match is forgotten,
// with one line in the log, and fetched again.
//
// The walk through a write: `StoredBlob.write` takes `VerifiedLeaves` (there is no way to hand it
// anything else), asks `SpaceLedger` for room, which may name cached cells to evict, writes the
// data, then the hashes, then the map in memory. Through a read: the map in memory, one pread for
// the data, one for the hashes, hash, compare.
//
// Two bounds hold for what is cached, to the byte: the limit, and the floor of free disk
// (`FreeSpace`). What is published, held or pinned is not cached, and knows no bound but the disk.
//
// A blob that is published here has no id before its last row is sealed. Until then it is a
// `BlobDraft`, which takes whole rows from the `RowSealer` that sealed them, and becomes the blob's
// folder by one rename. An interrupted draft goes on: each row shows by itself whether it is done.
//
// A published file is not copied. The data shards of its blob are made from it when they are read
// (`InPlaceSource`), and checked like any other; a file that was changed is noticed and let go.
//
// What it never does: talk to the network, keep keys of blobs that are only held, follow a link in
// its own folder, or name a file after anything but a digest and a number.
//
// What is lost on a crash: leaves of cells and rows of drafts that were not complete, and what the
// system had not yet written. They are fetched or sealed again. The registry loses nothing that was
// committed.
//
