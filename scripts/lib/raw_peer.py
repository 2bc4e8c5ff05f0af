"""A peer that speaks petals/1 by hand, as docs/PROTOCOL.md describes it, and says what a check wants.

Nothing of petalsfs is in it: Python's TLS, `openssl` for the certificate, and the arithmetic of
Tests/Vectors/check_vectors.py.
"""

import hashlib
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

from bench.workspace import Trouble

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent / "Tests" / "Vectors"))

import check_vectors as format  # noqa: E402  (in that folder)

NETWORK = format.sha256(b"petalsfs credit v1")
LEAF, CELL_LEAVES = 16 << 10, 16


def blake(key, message):
    return hashlib.blake2b(message, key=key, digest_size=32).digest()


def fields(message):
    """The fields of a Protocol Buffers message that has numbers and byte strings only."""
    found, at = {}, 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(message):
        tag = varint()
        if tag & 7 == 0:
            found[tag >> 3] = varint()
        elif tag & 7 == 5:
            found[tag >> 3] = struct.unpack("<I", message[at:at + 4])[0]
            at += 4
        else:
            length = varint()
            found[tag >> 3] = message[at:at + length]
            at += length
    return found


def record_blob(record):
    """The id and the topic of a file record's blob, today."""
    known = fields(record)
    relay = blake(known[6], b"petalsfs relay key v1")
    day = struct.pack("<I", int(time.time()) // 86_400)
    return known[5], blake(relay, b"petalsfs topic v1" + day + known[5])[:20]


class RawPeer:
    """A connection to a node, with an identity of its own."""

    def __init__(self, folder, address, name):
        self.seed = format.sha256(name.encode())
        self.public, _ = format.ed25519(self.seed, b"")
        self.id = format.sha256(self.public)
        self.leaves = 0
        self.received = {}
        self.closed = False
        key, certificate = folder / f"{name}.key", folder / f"{name}.pem"
        self.make_certificate(key, certificate)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.set_alpn_protocols(["petals/1"])
        context.load_cert_chain(certificate, key)
        host, _, port = address.rpartition(":")
        self.tls = context.wrap_socket(socket.create_connection((host, int(port)), timeout=10))
        self.server = format.sha256(self.node_key(self.tls.getpeercert(binary_form=True)))
        self.lock = threading.Lock()
        self.send(1, format.number(1, 1) + format.data_field(2, "raw")
                  + format.number(3, 256) + format.number(4, 16 << 20))
        threading.Thread(target=self.read, daemon=True).start()
        self.wait_for(16)

    def make_certificate(self, key, certificate):
        """A self-signed certificate of the seed's key (RFC 8410)."""
        der = bytes.fromhex("302e020100300506032b657004220420") + self.seed
        key.write_bytes(ssl.DER_cert_to_PEM_cert(der).replace("CERTIFICATE", "PRIVATE KEY").encode())
        subprocess.run(["openssl", "req", "-x509", "-key", key, "-subj", "/CN=petals", "-days", "2",
                        "-out", certificate], check=True, capture_output=True)

    @staticmethod
    def node_key(certificate):
        """The Ed25519 key of a certificate: what follows its algorithm and a bit string's head."""
        head = bytes.fromhex("302a300506032b6570032100")
        at = certificate.index(head) + len(head)
        return certificate[at:at + 32]

    # What goes out.

    def send(self, field, body):
        """Sends a control message."""
        control = format.always(field, body)
        try:
            self.tls.sendall(struct.pack(">IB", len(control) + 1, 0) + control)
        except OSError:
            self.closed = True

    def join(self, topic):
        self.send(2, format.data_field(1, topic))

    def request(self, number, topic, shard, cell):
        self.send(7, format.number(1, number) + format.data_field(2, topic)
                  + format.number(3, shard) + format.number(4, cell)
                  + format.number(6, CELL_LEAVES))

    def balance(self):
        """Takes part in credit, and owes nothing that it knows of."""
        self.send(13, format.always(1, b"") + format.always(2, b""))

    def receipt(self, sequence, leaves, seed=None, debtor=None, tamper=0):
        """Signs for leaves; with another seed, in another's name, or for more than was signed."""
        terms = fields(self.received[16][0])
        values = [terms.get(1, 0), sequence, leaves * LEAF, leaves * 16_000, int(time.time())]
        peers = [debtor or self.id, self.server]
        _, public, signature = format.statement(
            seed or self.seed, b"petals-rcpt-1", peers, list(zip((4, 8, 8, 8, 8), values)))
        values[3] += tamper
        body = b"".join(format.data_field(1 + i, part) for i, part in enumerate([NETWORK, *peers]))
        body += b"".join(format.number(4 + i, value) for i, value in enumerate(values))
        self.send(12, body + format.data_field(9, public) + format.data_field(10, signature))

    def record(self, digest):
        """Asks for a public file's record."""
        self.send(21, format.number(1, 9) + format.data_field(2, digest))
        return self.wait_for("document")[12:]

    # What comes in.

    def read(self):
        """Counts leaves and keeps control messages, until the connection ends."""
        pending = b""
        try:
            while part := self.tls.recv(1 << 16):
                pending += part
                while len(pending) >= 5:
                    length, kind = struct.unpack(">IB", pending[:5])
                    if len(pending) < 4 + length:
                        break
                    self.take(kind, pending[5:4 + length])
                    pending = pending[4 + length:]
        except OSError:
            pass
        self.closed = True

    def take(self, kind, body):
        with self.lock:
            if kind == 1:
                self.leaves += body[5]
            elif kind == 3:
                self.received.setdefault("document", []).append(body)
            elif kind == 0:
                for field, message in fields(body).items():
                    self.received.setdefault(field, []).append(message)

    def wait_for(self, field):
        """The first message of a kind."""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            with self.lock:
                if self.received.get(field):
                    return self.received[field][0]
            time.sleep(0.01)
        raise Trouble(f"the node did not send field {field} to a raw peer in 30 s")

    def close(self):
        self.tls.close()
