//
// PetalsCore: the nouns.
//
// This room says what petalsfs talks about: bytes and how they are counted, digests and keys, the
// geometry that cuts a blob into groups, shards, rows, cells and leaves, the documents that
// describe a model, links, and the messages between peers. Everything here is a value. There is no
// I/O, no clock and no C library, so that every statement of this room can be tested exhaustively.
//
// The walk through it:
//
//   Units, Digest, Limits      what a number means, and how large it may become
//   Geometry                   stream offset <-> (shard, cell, leaf); the only place that knows it
//   Documents/                 BlobDescriptor, FileRecord, Manifest, Catalogue: validated on the
//                              way in
//   Links                      `petals:r1:` (may read) and `petals:v1:` (may hold, not read);
//                              CatalogueLink: `petals:c1:`
//   ModelReference             a link, or `sha256:` and a public file's digest
//   Credit/                    receipts and assignments: what peers owe each other, signed
//   Wire/                      frames and control messages, validated on the way in
//
// What it never does: trust. Every value that can come from a peer, a link or a disk is built by an
// initialiser that checks it against `Limits` and throws a `PetalsError` that names the place;
// after that, the rest of the program can use it without asking again. Generated Protocol Buffers
// types (Protobuf/) do not leave this room.
//
// Nothing is lost on a crash, since nothing is kept here.
//
