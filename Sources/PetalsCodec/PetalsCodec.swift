//
// PetalsCodec: bytes in, bytes out.
//
// This room compresses, seals, erasure-codes and hashes. It is the only one that names libsodium,
// LZ4, c-blosc, ISA-L and swift-crypto's hash and signature, so that whoever wants to know what
// happens to a byte between a file and a leaf reads these files and no others. There is no I/O, no
// clock and no state here beyond a few tables that are derived from small numbers.
//
// The walk through it, in the order in which a published byte meets it:
//
//   FrameCoder                 a frame of plaintext <-> the same frame in the stored stream
//   KeyDerivation              every key and topic, and the text that separates their domains
//   StreamCipher               the stored stream <-> the sealed stream, from any offset
//   ErasureCode                k data cells -> n - k parity cells; any k cells -> all
//   Checksum, LeafChecksum     CRCs: did a published file change, is a cached leaf as it was
//   Hashing, HashTree          SHA-256, and the tree of RFC 9162 over leaves and over cells
//   CellLayer, VerifiedLeaves  bytes that carry the proof of being the right ones in their type
//   BlockPipeline, RowSealer   the order of all these stages, `seal` and `open` side by side
//   TreeBuilder                the shard roots of a publication, row by row
//   SealedDescriptor, ManifestSealing, DocumentSeal, SigningIdentity   documents, sealed and signed
//                              `Ed25519Verifier`: whose signature something is
//   CatalogueSigning           which head of a catalogue is right, and which of two counts
//
// Two ideas hold it together. A key seals exactly one thing: content keys are derived from the
// stored stream and its geometry (or drawn at random), so that no nonce is ever needed and none can
// repeat. And bytes from outside become `VerifiedLeaves` or nothing: the type has no initialiser
// that does not hash, and store, wire and files take nothing else.
//
// What it never does: trap on bytes from a peer, a link or a disk. Whatever does not fit gives nil
// or a `PetalsError`; a precondition here speaks of a mistake in this program.
//
// Nothing is lost on a crash, since nothing is kept here.
//
