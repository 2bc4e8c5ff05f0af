//
// PetalsTesting: what several test targets share.
//
//   SeededGenerator    random numbers that can be had again
//   TemporaryFolder    a folder that goes away with its owner
//   LogBook            log lines, kept to be looked at
//   SampleBlob         a sealed blob in memory, whole shards of which can be put into a store
//   LoopbackNode       a real node on 127.0.0.1; `withSwarm` starts several and stops them all
//   eventually         waits for a condition
//
// Nothing here fakes a part of the product: nodes speak TLS over real sockets to each other, stores
// write real files. Peers that lie are written in the tests, as raw clients and servers that speak
// the protocol and choose what they say, so that the product needs no hook for being wrong.
//
// How long something takes never decides a test. `eventually` has a deadline that only a hung test
// reaches, and everything that is stopped is waited for.
//
