"""A DHT node that is not ours, for scripts/check-dht: `dht_witness.py ADDRESS`.

Says `listening HOST:PORT`, then does what its input says, line by line, until that ends:

    announce TOPIC PORT   announces TOPIC (40 hex digits) until it is told something else
    find TOPIC            looks TOPIC up until it has peers; says `found TOPIC HOST:PORT` of each
    put SEED KEY SALT TEXT  signs TEXT with the Ed25519 key pair of SEED and KEY, and stores it as
                            a mutable item (BEP 44)
    get KEY SALT          looks for such an item; says `item KEY SALT SEQUENCE SIGNATURE VALUE`
    join HOST PORT        asks the node there to begin with

Seeds, keys, salts, signatures and bencoded values are hexadecimal, 00 being a salt of one byte.

Needs libtorrent's Python package. The settings are its own ones, except that nodes may share a
network, which on loopback they do.
"""

import hashlib
import select
import sys
import time

import libtorrent


def start(address):
    """A session that is nothing but a DHT node, and where it listens."""
    session = libtorrent.session({
        "listen_interfaces": f"{address}:0", "enable_dht": True, "enable_lsd": False,
        "enable_upnp": False, "enable_natpmp": False, "dht_bootstrap_nodes": "",
        "dht_restrict_routing_ips": False, "dht_restrict_search_ips": False,
        "alert_mask": libtorrent.alert.category_t.status_notification
        | libtorrent.alert.category_t.dht_operation_notification,
    })
    while True:
        session.wait_for_alert(1000)
        for alert in session.pop_alerts():
            if isinstance(alert, libtorrent.listen_succeeded_alert) \
                    and alert.socket_type == libtorrent.socket_type_t.utp:
                return session, alert.port


def say(*words):
    print(*words, flush=True)


def secret_key(seed):
    """The form of an Ed25519 key that libtorrent signs with: its seed's SHA-512, clamped."""
    key = bytearray(hashlib.sha512(seed).digest())
    key[0] &= 248
    key[31] = key[31] & 63 | 64
    return bytes(key)


def perform(session, verb, *words):
    """Does once what a line of the input says."""
    if verb == "join":
        session.add_dht_node((words[0], int(words[1])))
    elif verb == "put":
        seed, key, salt = map(bytes.fromhex, words[:3])
        session.dht_put_mutable_item(secret_key(seed), key, words[3].encode(), salt)
    elif verb == "get":
        session.dht_get_mutable_item(*map(bytes.fromhex, words))
    else:
        topic = libtorrent.sha1_hash(bytes.fromhex(words[0]))
        if verb == "announce":
            session.dht_announce(topic, int(words[1]))
        else:
            session.dht_get_peers(topic)


def told(alert):
    """What an alert says to whoever reads this, word by word, one list for each line."""
    if isinstance(alert, libtorrent.dht_get_peers_reply_alert):
        return [["found", str(alert.info_hash), f"{host}:{port}"] for host, port in alert.peers()]
    if isinstance(alert, libtorrent.dht_mutable_item_alert) and alert.item:
        return [["item", alert.key.hex(), alert.salt.hex(), str(alert.seq), alert.signature.hex(),
                 libtorrent.bencode(alert.item).hex()]]
    return []


def main(address):
    session, port = start(address)
    say("listening", f"{address}:{port}")
    task, seen, unread = None, set(), b""
    while True:
        if select.select([sys.stdin.buffer], [], [], 0.2)[0]:
            data = sys.stdin.buffer.raw.read(4096)
            if not data:
                return
            *lines, unread = (unread + data).split(b"\n")
            for line in lines:
                task, due = line.decode().split(), 0.0
        if task and time.monotonic() >= due:
            due = time.monotonic() + 1
            perform(session, *task)
        for alert in session.pop_alerts():
            for words in told(alert):
                if tuple(words) not in seen:
                    seen.add(tuple(words))
                    say(*words)


main(sys.argv[1])
