"""A DHT node that is not ours, for scripts/check-dht: `dht_witness.py ADDRESS`.

Says `listening HOST:PORT`, then does what its input says, line by line, until that ends:

    announce TOPIC PORT   announces TOPIC (40 hex digits) until it is told something else
    find TOPIC            looks TOPIC up until it has peers; says `found TOPIC HOST:PORT` of each

Needs libtorrent's Python package. The settings are its own ones, except that nodes may share a
network, which on loopback they do.
"""

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
            topic = libtorrent.sha1_hash(bytes.fromhex(task[1]))
            if task[0] == "announce":
                session.dht_announce(topic, int(task[2]))
            else:
                session.dht_get_peers(topic)
        for alert in session.pop_alerts():
            if not isinstance(alert, libtorrent.dht_get_peers_reply_alert):
                continue
            for host, peer_port in alert.peers():
                found = (str(alert.info_hash), f"{host}:{peer_port}")
                if found not in seen:
                    seen.add(found)
                    say("found", *found)


main(sys.argv[1])
