import Testing

/// Real nodes on loopback sockets, in one process.
///
/// One after the other: each test has up to seven nodes with threads of their own, and none is
/// decided by how fast the machine is.
@Suite(.serialized, .timeLimit(.minutes(2)))
enum Swarms {}
