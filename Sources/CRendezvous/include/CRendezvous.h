#pragma once
// CRendezvous: a DHT node and a port mapper behind an opaque C handle.
//
// What is behind it is libtorrent (docs/decisions/13-dht.md), of which only the Mainline DHT, UPnP,
// NAT-PMP and PCP run. Nothing of C++ crosses this header: each function catches what is thrown and
// says so with its result. A handle belongs to one thread; only `petals_dht_wake` may be called by
// any, until `petals_dht_destroy` begins.
//
// An endpoint crosses as 18 bytes: an IPv6 address (IPv4 as ::ffff:a.b.c.d), then the port, both in
// network order.

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#define PETALS_NOEXCEPT noexcept
extern "C" {
#else
#define PETALS_NOEXCEPT
#endif

/// Bytes of an endpoint.
#define PETALS_DHT_ENDPOINT_BYTES 18
/// Bytes of a topic.
#define PETALS_DHT_TOPIC_BYTES 20
/// Endpoints of one answer that are handed on; a UDP answer cannot hold as many.
#define PETALS_DHT_PEERS_MAX 512

typedef struct petals_dht petals_dht;

typedef struct {
    /// Where to listen, as in "127.0.0.2:0" or "0.0.0.0:7701,[::]:7701".
    const char *listen;
    /// Endpoints of nodes that may know others.
    const uint8_t *nodes;
    size_t nodes_bytes;
    /// What `petals_dht_save` gave in an earlier life, or nothing.
    const uint8_t *state;
    size_t state_bytes;
    /// Not the public network: nodes may share a network or a machine, and may be asked often.
    int is_private;
    /// Whether routers are asked to forward ports (UPnP, NAT-PMP, PCP).
    int maps_ports;
} petals_dht_config;

/// What a `petals_dht_event` tells.
typedef enum {
    /// A socket is open: `bytes` is its endpoint.
    PETALS_DHT_LISTENING = 1,
    /// A socket could not be opened: `bytes` says why.
    PETALS_DHT_LISTEN_FAILED = 2,
    /// One node's answer about `topic`: `bytes` are endpoints.
    PETALS_DHT_PEERS = 3,
    /// `number` nodes are known.
    PETALS_DHT_NODES = 4,
    /// A router forwards the TCP port `number` to the one that was asked for.
    PETALS_DHT_PORT_MAPPED = 5,
    /// A router was found and did not forward: `bytes` says why.
    PETALS_DHT_PORT_FAILED = 6,
    /// Others see this node at the address of the endpoint `bytes`; its port says nothing.
    PETALS_DHT_EXTERNAL_ADDRESS = 7,
    /// A mutable item whose signature was verified: `bytes` are its key (32), signature (64),
    /// sequence number (8, network order), salt (`number` bytes) and bencoded value.
    PETALS_DHT_ITEM = 8
} petals_dht_event_kind;

typedef struct {
    int32_t kind;
    int64_t number;
    uint8_t topic[PETALS_DHT_TOPIC_BYTES];
    /// Valid until the next call of `petals_dht_poll`.
    const uint8_t *bytes;
    size_t bytes_count;
} petals_dht_event;

/// Starts a node; null where that fails, with the reason in `reason`, cut to `reason_bytes`.
///
/// A state that cannot be read counts as none. Whether it can listen comes as an event.
petals_dht *petals_dht_create(
    const petals_dht_config *config, char *reason, size_t reason_bytes) PETALS_NOEXCEPT;

/// Ends the node, its port mappings and its threads, and frees the handle.
void petals_dht_destroy(petals_dht *dht) PETALS_NOEXCEPT;

// The functions below give 0, or -1 where libtorrent failed.

/// Asks nodes, at `bytes_count / 18` endpoints, whether they are there, and whom they know.
int petals_dht_add_nodes(
    petals_dht *dht, const uint8_t *bytes, size_t bytes_count) PETALS_NOEXCEPT;
/// Tells the nodes nearest to a topic, once, that this machine has it at a TCP port.
///
/// Their answers come as PETALS_DHT_PEERS. Nothing is sent while no node is known.
int petals_dht_announce(petals_dht *dht, const uint8_t *topic, uint16_t port) PETALS_NOEXCEPT;
/// Asks the nodes nearest to a topic, once, who has it; answers come as PETALS_DHT_PEERS.
int petals_dht_get_peers(petals_dht *dht, const uint8_t *topic) PETALS_NOEXCEPT;
/// Asks for PETALS_DHT_NODES.
int petals_dht_count_nodes(petals_dht *dht) PETALS_NOEXCEPT;
/// Asks the routers to forward a TCP port, if the node was created to do so.
int petals_dht_map_port(petals_dht *dht, uint16_t port) PETALS_NOEXCEPT;

/// Stores a signed mutable item (BEP 44) with the nodes nearest to its key and salt.
///
/// `key` has 32 bytes, `signature` 64; `value` is bencoded, at most 1000 bytes.
int petals_dht_put_item(
    petals_dht *dht, const uint8_t *key, const uint8_t *signature, int64_t sequence,
    const uint8_t *salt, size_t salt_bytes, const uint8_t *value,
    size_t value_bytes) PETALS_NOEXCEPT;
/// Looks for a mutable item; each newer one that is found comes as PETALS_DHT_ITEM.
int petals_dht_get_item(
    petals_dht *dht, const uint8_t *key, const uint8_t *salt, size_t salt_bytes) PETALS_NOEXCEPT;

/// Waits up to `milliseconds` for an event: 1 with one, 0 without, -1 where libtorrent failed.
int petals_dht_poll(
    petals_dht *dht, uint32_t milliseconds, petals_dht_event *event) PETALS_NOEXCEPT;
/// Ends the wait of `petals_dht_poll`, the present one or the next.
void petals_dht_wake(petals_dht *dht) PETALS_NOEXCEPT;

/// Copies the routing table, to be given to `petals_dht_create` in another life.
///
/// Returns its length; where that is more than `capacity` nothing is copied. -1 where it failed.
int64_t petals_dht_save(petals_dht *dht, uint8_t *bytes, size_t capacity) PETALS_NOEXCEPT;

#ifdef __cplusplus
}
#endif
