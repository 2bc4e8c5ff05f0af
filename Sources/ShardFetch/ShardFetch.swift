//
// ShardFetch: the network.
//
// This room brings verified leaves to whoever wants them, and gives peers what this node holds. It
// is the only one that opens a socket.
//
//   Node/      the door: a running node, what it shows to the rooms above, and the wiring
//   Discovery/ finding peers: announcing, looking, whom to dial
//   Peer/      connections: identity, TLS, frames, limits, bans
//   Fetch/     what to ask of whom (`FetchScheduler`, a pure machine), the shell that does it
//              (`FetchEngine`), the reader of a file (`BlobReader`), read-ahead
//   Serve/     answering: topics, holdings, documents, records of public files, leaves with their
//              proofs
//   Credit/    who owes whom for bytes: the books (`CreditLedger`, a pure machine), and the shell
//              that signs, checks and keeps them (`CreditKeeper`); what is rare (`RarityBook`)
//   Donate/    holding shards for others: what to hold (`DonationPlan`, a pure machine), checking
//              claims, and the shell that does it (`Donor`)
//   Publish/   from a file to a sealed blob, a manifest and a link
//   Catalogue/ telling and hearing of catalogues: heads to whoever follows, logs by their digest
//
// The walk of a byte that is not here: a read asks `BlobReader`, which finds leaves missing and
// puts a ticket on them; the scheduler picks a peer for each cell; the answer comes as a frame on
// an event loop, is checked against the shard's tree on a worker, handed to the ticket, kept in
// memory and on disk; the read goes on where it waited, decrypts, decodes and returns. One hop out,
// one hop back.
//
// Who may do what: event loops frame and account, and never hash, read or write. Workers hash, read
// and write, and never wait. Policy never does either: it is values, and time is an argument.
//
// What this room never does: hand on a byte that was not verified. What a peer says is a hint until
// a leaf proves it; a leaf that does not costs the peer its connection and ten minutes, and the
// read goes on elsewhere. A peer can make this node wait, within limits, and nothing else.
//
// Lost on a crash: requests under way and who was banned. What was verified is on the disk.
//
