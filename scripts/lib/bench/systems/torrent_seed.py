"""Makes a torrent of a file, and seeds it to one address on this machine.

    torrent_seed.py make FILE TORRENT
    torrent_seed.py seed FILE TORRENT PORT

Runs in the benchmark's venv, which has libtorrent.
"""

import sys
import time
from pathlib import Path

import libtorrent


def make(source, target):
    storage = libtorrent.file_storage()
    storage.add_file(source.name, source.stat().st_size)
    # btfs of Debian 12 reads the first version of the format.
    creator = libtorrent.create_torrent(storage, 0, libtorrent.create_torrent.v1_only)
    libtorrent.set_piece_hashes(creator, str(source.parent))
    target.write_bytes(libtorrent.bencode(creator.generate()))


def seed(source, torrent, port):
    session = libtorrent.session({
        "listen_interfaces": "127.0.0.1:0", "enable_dht": False, "enable_lsd": False,
        "enable_upnp": False, "enable_natpmp": False,
        # uTP gives way to other traffic, and there is none here to give way to.
        "enable_outgoing_utp": False,
        "allow_multiple_connections_per_ip": True,
    })
    order = libtorrent.add_torrent_params()
    order.ti = libtorrent.torrent_info(str(torrent))
    order.save_path = str(source.parent)
    order.flags |= libtorrent.torrent_flags.seed_mode
    handle = session.add_torrent(order)
    print("started", flush=True)
    connected = False
    while True:
        if not any(peer.ip[1] == port for peer in handle.get_peer_info()):
            handle.connect_peer(("127.0.0.1", port))
        elif not connected:
            connected = True
            print("connected", flush=True)
        time.sleep(0.5 if connected else 0.1)


def main():
    order, source, torrent, *port = sys.argv[1:]
    if order == "make":
        make(Path(source), Path(torrent))
    else:
        seed(Path(source), Path(torrent), int(port[0]))


main()
