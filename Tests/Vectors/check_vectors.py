#!/usr/bin/env python3
"""Golden vectors of the petalsfs format, computed from the written format alone.

    check_vectors.py           recomputes everything in format.json; exits 1 on a mismatch
    check_vectors.py --write   writes format.json anew (a change of the format, never a habit)

Python's standard library only, and none of petalsfs: ChaCha20, Poly1305, Ed25519, GF(2^8), the tree
of RFC 9162 and the few Protocol Buffers fields are written out plainly here, and are first tried on
the vectors that their own documents publish. The Swift tests read the same format.json.
"""

import base64
import hashlib
import json
import os
import struct
import sys

LEAF = 16 << 10
CELL = 256 << 10
MASK32 = 0xFFFFFFFF


# --- Pseudo-random bytes -------------------------------------------------------------------------

def lcg(seed, count):
    """Knuth's MMIX generator: x = x * 6364136223846793005 + 1442695040888963407; the top byte."""
    out = bytearray()
    x = seed
    for _ in range(count):
        x = (x * 6364136223846793005 + 1442695040888963407) & 0xFFFFFFFFFFFFFFFF
        out.append(x >> 56)
    return bytes(out)


# --- ChaCha20, XChaCha20, Poly1305 (RFC 8439, draft-irtf-cfrg-xchacha-03) ------------------------

def rounds(state):
    x = list(state)

    def quarter(a, b, c, d):
        x[a] = (x[a] + x[b]) & MASK32
        x[d] ^= x[a]
        x[d] = (x[d] << 16 | x[d] >> 16) & MASK32
        x[c] = (x[c] + x[d]) & MASK32
        x[b] ^= x[c]
        x[b] = (x[b] << 12 | x[b] >> 20) & MASK32
        x[a] = (x[a] + x[b]) & MASK32
        x[d] ^= x[a]
        x[d] = (x[d] << 8 | x[d] >> 24) & MASK32
        x[c] = (x[c] + x[d]) & MASK32
        x[b] ^= x[c]
        x[b] = (x[b] << 7 | x[b] >> 25) & MASK32

    for _ in range(10):
        quarter(0, 4, 8, 12)
        quarter(1, 5, 9, 13)
        quarter(2, 6, 10, 14)
        quarter(3, 7, 11, 15)
        quarter(0, 5, 10, 15)
        quarter(1, 6, 11, 12)
        quarter(2, 7, 8, 13)
        quarter(3, 4, 9, 14)
    return x


CONSTANTS = struct.unpack("<4I", b"expand 32-byte k")


def chacha_block(key, tail):
    """`tail`: counter and nonce, 16 bytes, as they lie in the state."""
    state = CONSTANTS + struct.unpack("<8I", key) + struct.unpack("<4I", tail)
    return struct.pack("<16I", *((a + b) & MASK32 for a, b in zip(rounds(state), state)))


def hchacha(key, nonce16):
    x = rounds(CONSTANTS + struct.unpack("<8I", key) + struct.unpack("<4I", nonce16))
    return struct.pack("<8I", *(x[0:4] + x[12:16]))


def xor(a, b):
    return (int.from_bytes(a, "little") ^ int.from_bytes(b, "little")).to_bytes(len(a), "little")


def stream_cipher(key, offset, data):
    """XChaCha20, zero nonce, 64-bit block counter: the content cipher, from any offset."""
    subkey = hchacha(key, bytes(16))
    first = offset // 64
    last = (offset + len(data) + 63) // 64
    stream = b"".join(
        chacha_block(subkey, struct.pack("<Q", block) + bytes(8)) for block in range(first, last))
    start = offset - 64 * first
    return xor(data, stream[start:start + len(data)])


def poly1305(key, message):
    r = int.from_bytes(key[:16], "little") & 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF
    s = int.from_bytes(key[16:], "little")
    total = 0
    for start in range(0, len(message), 16):
        block = message[start:start + 16] + b"\x01"
        total = (total + int.from_bytes(block, "little")) * r % ((1 << 130) - 5)
    return ((total + s) & ((1 << 128) - 1)).to_bytes(16, "little")


def aead_seal(key, nonce24, document, associated=b""):
    subkey = hchacha(key, nonce24[:16])
    nonce12 = bytes(4) + nonce24[16:]
    one_time = chacha_block(subkey, struct.pack("<I", 0) + nonce12)[:32]
    blocks = (len(document) + 63) // 64
    stream = b"".join(
        chacha_block(subkey, struct.pack("<I", 1 + block) + nonce12) for block in range(blocks))
    sealed = xor(document, stream[:len(document)])

    def padded(data):
        return data + bytes(-len(data) % 16)

    tag = poly1305(
        one_time,
        padded(associated) + padded(sealed) + struct.pack("<QQ", len(associated), len(sealed)))
    return sealed + tag


def document_seal(key, document):
    return aead_seal(key, bytes(24), document)


# --- Ed25519 (RFC 8032, section 6) ---------------------------------------------------------------

P = 2**255 - 19
Q = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P


def point_add(a, b):
    e = (a[1] - a[0]) * (b[1] - b[0]) % P
    f = (a[1] + a[0]) * (b[1] + b[0]) % P
    c = 2 * a[3] * b[3] * D % P
    d = 2 * a[2] * b[2] % P
    e, f, g, h = f - e, d - c, d + c, f + e
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def point_multiply(scalar, point):
    result = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            result = point_add(result, point)
        point = point_add(point, point)
        scalar >>= 1
    return result


def base_point():
    y = 4 * pow(5, P - 2, P) % P
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P)
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    if x & 1:
        x = P - x
    return (x, y, 1, x * y % P)


def point_bytes(point):
    inverse = pow(point[2], P - 2, P)
    x, y = point[0] * inverse % P, point[1] * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def ed25519(seed, message):
    """The public key and the signature."""
    digest = hashlib.sha512(seed).digest()
    a = int.from_bytes(digest[:32], "little") & ((1 << 254) - 8) | 1 << 254
    base = base_point()
    public = point_bytes(point_multiply(a, base))
    r = int.from_bytes(hashlib.sha512(digest[32:] + message).digest(), "little") % Q
    big_r = point_bytes(point_multiply(r, base))
    h = int.from_bytes(hashlib.sha512(big_r + public + message).digest(), "little") % Q
    return public, big_r + ((r + h * a) % Q).to_bytes(32, "little")


# --- The tree of RFC 9162, section 2.1 -----------------------------------------------------------

def sha256(data):
    return hashlib.sha256(data).digest()


def leaf_hash(data):
    return sha256(b"\x00" + data)


def split(count):
    size = 1
    while 2 * size < count:
        size *= 2
    return size


def tree_root(hashes):
    if not hashes:
        return sha256(b"")
    if len(hashes) == 1:
        return hashes[0]
    middle = split(len(hashes))
    return sha256(b"\x01" + tree_root(hashes[:middle]) + tree_root(hashes[middle:]))


def range_proof(hashes, lower, upper, start=0):
    """In-order roots of the largest subtrees outside of lower..<upper."""
    end = start + len(hashes)
    if end <= lower or upper <= start:
        return [tree_root(hashes)]
    if lower <= start and end <= upper:
        return []
    middle = split(len(hashes))
    return (range_proof(hashes[:middle], lower, upper, start)
            + range_proof(hashes[middle:], lower, upper, start + middle))


# --- Reed-Solomon over GF(2^8), polynomial 0x11d, Cauchy -----------------------------------------

def gf_multiply(a, b):
    product = 0
    while b:
        if b & 1:
            product ^= a
        a <<= 1
        if a & 0x100:
            a ^= 0x11D
        b >>= 1
    return product


def gf_inverse(a):
    return next(b for b in range(1, 256) if gf_multiply(a, b) == 1)


def parity(data, n):
    """The parity columns over the data columns: coefficient 1 / (i xor j)."""
    columns = []
    for i in range(len(data), n):
        total = bytes(len(data[0]))
        for j, column in enumerate(data):
            coefficient = gf_inverse(i ^ j)
            table = bytes(gf_multiply(coefficient, value) for value in range(256))
            total = xor(total, column.translate(table))
        columns.append(total)
    return columns


# --- Key derivation ------------------------------------------------------------------------------

def derive(key, domain, parts=b""):
    return hashlib.blake2b(domain.encode() + parts, key=key, digest_size=32).digest()


def blob_key(stored_sha256, stored_length, k, n, rows_per_group):
    return derive(b"", "petalsfs blob key v1",
                  stored_sha256 + struct.pack("<QIII", stored_length, k, n, rows_per_group))


def relay_key(key):
    return derive(key, "petalsfs relay key v1")


def topic(key, identifier, day):
    return derive(key, "petalsfs topic v1", struct.pack("<I", day) + identifier)[:20]


def file_topic(digest, day):
    return derive(b"", "petalsfs file topic v1", struct.pack("<I", day) + digest)[:20]


def announcement(topics, port, looking, nonce):
    tags = b"".join(derive(b"", "petalsfs announcement v1", nonce + topic)[:8] for topic in topics)
    return b"PTLS" + struct.pack(">BBH", 1, looking, port) + nonce + tags


# --- Protocol Buffers: fields in the order of their numbers, defaults left out -------------------

def varint(value):
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def number(field, value):
    return varint(field << 3) + varint(value) if value else b""


def always(field, data):
    return varint(field << 3 | 2) + varint(len(data)) + data


def data_field(field, data):
    data = data.encode() if isinstance(data, str) else data
    return always(field, data) if data else b""


# --- A blob --------------------------------------------------------------------------------------

def make_blob(stream, k, n, rows_per_group, key):
    """Shard roots and the sealed descriptor of a stored stream."""
    row_bytes = k * CELL
    row_count = -(-len(stream) // row_bytes)
    tail = len(stream) - (row_count - 1) * row_bytes
    last_cell = -(-(-(-tail // k)) // LEAF) * LEAF
    sealed = stream_cipher(key, 0, stream)
    groups = -(-row_count // rows_per_group)
    shards = [[] for _ in range(groups * n)]
    for row in range(row_count):
        cell = last_cell if row == row_count - 1 else CELL
        part = sealed[row * row_bytes:row * row_bytes + k * cell]
        part += bytes(k * cell - len(part))
        data = [part[column * cell:(column + 1) * cell] for column in range(k)]
        for column, content in enumerate(data + parity(data, n)):
            shards[row // rows_per_group * n + column].append(content)
    # Over all leaves at once, not cell by cell.
    roots = [
        tree_root([leaf_hash(b"".join(shard)[at:at + LEAF])
                   for at in range(0, sum(map(len, shard)), LEAF)])
        for shard in shards]
    descriptor = (number(1, 1) + number(2, len(stream)) + number(3, k) + number(4, n)
                  + number(5, rows_per_group) + number(6, CELL) + number(7, LEAF) + number(8, 1)
                  + number(9, 1) + data_field(10, b"".join(roots)))
    document_key = derive(relay_key(key), "petalsfs descriptor v1")
    return roots, descriptor, document_seal(document_key, descriptor)


def blob_vector(seed, length, k, n, rows_per_group):
    stream = lcg(seed, length)
    digest = sha256(stream)
    key = blob_key(digest, length, k, n, rows_per_group)
    roots, descriptor, sealed = make_blob(stream, k, n, rows_per_group, key)
    blob_id = sha256(sealed)
    record = (number(1, length) + data_field(2, digest) + data_field(5, blob_id)
              + data_field(6, key) + data_field(7, digest))
    return {
        "seed": seed, "storedLength": length, "dataShards": k, "groupShards": n,
        "rowsPerGroup": rows_per_group, "storedSHA256": digest.hex(), "blobKey": key.hex(),
        "shardRoots": [root.hex() for root in roots], "descriptor": descriptor.hex(),
        "sealedDescriptor": sealed.hex(), "blobID": blob_id.hex(), "fileRecord": record.hex(),
    }


def record_vectors():
    """Records by themselves: of a coded public file, and of a private one."""
    def record(stored_sha256):
        lengths = [1000, CELL, 99]
        fields = {
            "size": 2 * CELL + 100, "sha256": sha256(b"plaintext").hex(), "codec": 1,
            "frameLengths": lengths, "blobID": sha256(b"blob id").hex(),
            "blobKey": sha256(b"blob key").hex(), "storedSHA256": stored_sha256.hex()}
        packed = b"".join(struct.pack("<I", length) for length in lengths)
        encoded = (number(1, fields["size"]) + data_field(2, bytes.fromhex(fields["sha256"]))
                   + number(3, 1) + data_field(4, packed)
                   + data_field(5, bytes.fromhex(fields["blobID"]))
                   + data_field(6, bytes.fromhex(fields["blobKey"]))
                   + data_field(7, stored_sha256))
        return dict(fields, record=encoded.hex())

    return [record(sha256(b"stored stream")), record(b"")]


def get_record_vectors():
    """The control message that asks for a record."""
    digest = sha256(b"plaintext")
    return [{"request": request, "sha256": digest.hex(),
             "message": always(21, number(1, request) + data_field(2, digest)).hex()}
            for request in (0, 1, 1 << 31, (1 << 32) - 1)]


# --- Credit --------------------------------------------------------------------------------------

def statement(seed, domain, peers, fields):
    """The signed bytes of a statement about credit, the signer's public key, the signature."""
    signed = domain + sha256(b"petalsfs credit v1") + b"".join(peers)
    for size, value in fields:
        signed += value.to_bytes(size, "big")
    return (signed,) + ed25519(seed, signed)


def statement_vector(field, seed, domain, peers, fields):
    """A statement and the control message that carries it."""
    signed, public, signature = statement(seed, domain, peers, fields)
    parts = [sha256(b"petalsfs credit v1")] + peers
    body = b"".join(data_field(1 + i, part) for i, part in enumerate(parts))
    after = 1 + len(parts)
    body += b"".join(number(after + i, value) for i, (_, value) in enumerate(fields))
    after += len(fields)
    body += data_field(after, public) + data_field(after + 1, signature)
    return {"signed": signed.hex(), "signature": signature.hex(),
            "message": always(field, body).hex()}, body


def credit_vector():
    """Receipts, an assignment and its answer, terms, a balance and a request with a price."""
    seeds = [sha256(name) for name in (b"creditor", b"debtor", b"beneficiary")]
    keys = [ed25519(seed, b"")[0] for seed in seeds]
    creditor, debtor, third = [sha256(key) for key in keys]
    receipts = []
    for values in ((1, 1, 16384, 16000, 1700000000), (0, 0, 0, 0, 0),
                   ((1 << 32) - 1,) + (1 << 60,) * 4):
        vector, body = statement_vector(
            12, seeds[1], b"petals-rcpt-1", [debtor, creditor],
            list(zip((4, 8, 8, 8, 8), values)))
        receipts.append(dict(zip(("epoch", "sequence", "bytes", "mills", "time"), values),
                             **vector))
        if len(receipts) == 1:
            first = body
    trio = [creditor, third, debtor]
    assign, _ = statement_vector(
        14, seeds[0], b"petals-asgn-1", trio, [(8, 7), (8, 5000), (8, 1700000120)])
    reply, _ = statement_vector(15, seeds[1], b"petals-asck-1", trio, [(8, 7), (8, 4000)])
    ask = always(14, b"".join(
        [data_field(1 + i, part) for i, part in enumerate(
            [sha256(b"petalsfs credit v1")] + trio)] + [number(6, 5000)]))
    side = number(1, 3) + number(2, 16384) + number(3, 16000)
    requests = []
    for price in (None, 0, 500, 4000):
        body = (number(1, 9) + data_field(2, bytes(range(20))) + number(3, 2) + number(4, 5)
                + number(5, 3) + number(6, 4) + number(7, 1))
        if price is not None:
            body += varint(8 << 3) + varint(price)
        requests.append({"price": price, "message": always(7, body).hex()})
    return {
        "network": sha256(b"petalsfs credit v1").hex(), "creditorSeed": seeds[0].hex(),
        "debtorSeed": seeds[1].hex(), "beneficiarySeed": seeds[2].hex(),
        "receipts": receipts, "assign": assign, "reply": reply, "ask": ask.hex(),
        "terms": always(16, number(1, 3) + number(2, 1000) + number(3, 4000)
                        + number(4, 131072) + number(5, 262144)).hex(),
        "emptyBalance": always(13, always(1, b"") + always(2, b"")).hex(),
        "balance": always(13, always(1, side) + always(2, b"") + always(3, first)).hex(),
        "requests": requests,
    }


# --- A manifest ----------------------------------------------------------------------------------

CONFIG = b'{"layers": 2}\n'
SCRIPT = b"#!/bin/sh\n"


def manifest_body(record):
    def entry(path, content, executable=0):
        return always(4, data_field(1, path) + number(2, executable) + content)

    metadata = (data_field(1, "1.0") + data_field(3, "Apache-2.0") + data_field(8, "tiny")
                + data_field(8, "test"))
    return (number(1, 1) + data_field(2, "tiny model") + entry("config.json", always(4, CONFIG))
            + entry("run.sh", always(4, SCRIPT), executable=1)
            + entry("weights/model.bin", always(3, record)) + always(5, metadata)
            + always(6, varint(2)))


# --- Links -----------------------------------------------------------------------------------------

BASE32 = "abcdefghijklmnopqrstuvwxyz234567"


def base32_text(data):
    return base64.b32encode(data).decode().lower().rstrip("=")


def bech32m(readable, values):
    """The six values at the end of BIP 350's Bech32m."""
    expanded = [ord(c) >> 5 for c in readable] + [0] + [ord(c) & 31 for c in readable]
    state = 1
    for value in expanded + list(values) + [0] * 6:
        top = state >> 25
        state = (state & 0x1FFFFFF) << 5 ^ value
        for bit, generator in enumerate(
                (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
            state ^= generator if top >> bit & 1 else 0
    state ^= 0x2BC830A3
    return [state >> 5 * (5 - index) & 31 for index in range(6)]


def link(kind, data):
    body = base32_text(data)
    check = bech32m("petals:" + kind, [BASE32.index(letter) for letter in body])
    return "petals:%s:%s%s" % (kind, body, "".join(BASE32[value] for value in check))


def manifest_vector(seed, blob, read_key=None):
    body = manifest_body(bytes.fromhex(blob["fileRecord"]))
    publisher, signature = ed25519(seed, b"petalsfs manifest v1" + body)
    signed = data_field(1, body) + data_field(2, publisher) + data_field(3, signature)
    key = read_key or derive(b"", "petalsfs model key v1", signed)
    inner = document_seal(derive(key, "petalsfs inner v1"), signed)
    grant = (data_field(1, bytes.fromhex(blob["blobID"]))
             + data_field(2, relay_key(bytes.fromhex(blob["blobKey"]))))
    outer = number(1, 1) + always(2, grant) + data_field(3, sha256(inner))
    sealed_outer = document_seal(derive(relay_key(key), "petalsfs outer v1"), outer)
    sealed = number(1, 1) + data_field(2, sealed_outer) + data_field(3, inner)
    manifest_id = sha256(sealed)

    return {
        "signingSeed": seed.hex(), "givenReadKey": read_key.hex() if read_key else "",
        "body": body.hex(), "publisher": publisher.hex(), "signature": signature.hex(),
        "readKey": key.hex(), "sealed": sealed.hex(), "manifestID": manifest_id.hex(),
        "link": link("r1", key + manifest_id) + "?name=tiny%20model&peer=192.0.2.1:7000",
        "uncheckedLink": "petals:r1:" + base32_text(key + manifest_id),
        "relayCap": link("v1", relay_key(key) + manifest_id),
    }


# --- A catalogue ---------------------------------------------------------------------------------

def catalogue_topic(owner, day):
    return derive(b"", "petalsfs catalogue topic v1", struct.pack("<I", day) + owner)[:20]


def item_signature(seed, owner, sequence, content):
    """Of the item of the DHT (BEP 44) that carries a head or a delegation; and its value."""
    salt = b"petals/c1" + owner
    value = b"%d:" % len(content) + content
    signed = b"4:salt%d:%s3:seqi%de1:v%s" % (len(salt), salt, sequence, value)
    return ed25519(seed, signed)[1], value


def catalogue_vector(owner_seed, delegate_seed):
    created = 1790000000
    metadata = data_field(1, "1.0") + data_field(3, "Apache-2.0") + data_field(7, "0123abcd")
    entry = (data_field(1, "tiny.gguf") + data_field(2, sha256(b"manifest"))
             + always(3, sha256(b"read key")) + number(5, 1) + number(7, 70000)
             + data_field(8, sha256(b"plaintext")) + always(9, metadata) + number(10, created))
    folder = (data_field(1, "folder") + data_field(2, sha256(b"another"))
              + always(4, sha256(b"relay key")) + number(7, 1 << 40) + number(10, created + 1))
    records = [always(1, b"Models \xc3\xbc"), always(2, entry), always(2, folder),
               always(3, b"tiny.gguf")]
    log = b"".join(always(1, record) for record in records)
    owner = ed25519(owner_seed, b"")[0]
    delegate = ed25519(delegate_seed, b"")[0]

    def head(issue):
        return (number(1, 1) + data_field(2, owner) + number(3, issue) + number(4, len(records))
                + data_field(5, tree_root([leaf_hash(record) for record in records]))
                + data_field(6, sha256(log)) + number(7, len(log)) + number(8, created))

    def signed(seed, issue, delegation):
        body = head(issue)
        bare = data_field(1, body) + data_field(
            2, ed25519(seed, b"petalsfs catalogue head v1" + body)[1])
        bare += always(3, delegation) if delegation else b""
        sequence = issue << 24 | len(records)
        signature, value = item_signature(seed, owner, sequence, always(1, bare))
        return {"signedHead": (bare + data_field(4, signature)).hex(),
                "itemSequence": sequence, "itemValue": value.hex()}

    body = (number(1, 1) + data_field(2, owner) + data_field(3, delegate) + number(4, created)
            + number(5, created) + number(6, created + 90 * 86400))
    bare = data_field(1, body) + data_field(
        2, ed25519(owner_seed, b"petalsfs catalogue delegation v1" + body)[1])
    signature, value = item_signature(owner_seed, owner, created << 24, always(2, bare))
    delegation = bare + data_field(3, signature)
    news = data_field(1, catalogue_topic(owner, 20000)) + data_field(2, b"head")
    return {
        "ownerSeed": owner_seed.hex(), "delegateSeed": delegate_seed.hex(),
        "created": created, "owner": owner.hex(), "link": link("c1", owner),
        "uncheckedLink": "petals:c1:" + base32_text(owner),
        "records": [record.hex() for record in records], "log": log.hex(),
        "root": tree_root([leaf_hash(record) for record in records]).hex(),
        "byOwner": signed(owner_seed, 0, b""),
        "byDelegate": signed(delegate_seed, created, delegation),
        "delegation": "petals:d1:" + base32_text(delegation),
        "delegationItemSequence": created << 24, "delegationItemValue": value.hex(),
        "topics": [{"day": day, "topic": catalogue_topic(owner, day).hex()}
                   for day in (0, 20000, (1 << 32) - 1)],
        "follow": always(18, data_field(1, catalogue_topic(owner, 20000))).hex(),
        "news": always(19, news).hex(),
    }


# --- All of it -----------------------------------------------------------------------------------

def keys_vector():
    secret = bytes(range(32))
    digest = sha256(b"stored stream")
    signed = b"a signed inner part"
    return {
        "secret": secret.hex(), "storedSHA256": digest.hex(), "storedLength": 123456789,
        "dataShards": 2, "groupShards": 4, "rowsPerGroup": 236,
        "blobKey": blob_key(digest, 123456789, 2, 4, 236).hex(),
        "relayKey": relay_key(secret).hex(),
        "documentKey": derive(secret, "petalsfs descriptor v1").hex(),
        "outerKey": derive(secret, "petalsfs outer v1").hex(),
        "innerKey": derive(secret, "petalsfs inner v1").hex(),
        "signedInner": signed.hex(),
        "modelReadKey": derive(b"", "petalsfs model key v1", signed).hex(),
        "topicID": sha256(b"a sealed descriptor").hex(),
        "topics": [{"day": day, "topic": topic(secret, sha256(b"a sealed descriptor"), day).hex()}
                   for day in (0, 1, 19723, 20780, 4294967295)],
        "fileTopics": [{"day": day, "topic": file_topic(digest, day).hex()}
                       for day in (0, 19723, 4294967295)],
    }


def announcement_vectors():
    nonce = sha256(b"nonce")[:16]
    topics = [file_topic(sha256(b"file %d" % index), 19723) for index in range(3)]
    return [{
        "topics": [topic.hex() for topic in topics[:count]], "port": port, "looking": looking,
        "nonce": nonce.hex(), "packet": announcement(topics[:count], port, looking, nonce).hex(),
    } for count, port, looking in ((1, 7411, False), (3, 65535, False), (2, 0, True))]


def stream_vector():
    key = sha256(b"stream key")
    parts = []
    # Around block borders, around the 32-bit border of the block counter, and near 16 TiB.
    for offset, length in ((0, 200), (1, 63), (63, 2), (64, 64), (65, 1), (100, 300), (16384, 80),
                           (64 * 2**32 - 70, 140), (64 * 2**32 + 5, 70), (2**44 - 33, 33)):
        plain = lcg(offset + 1, length)
        parts.append({"offset": offset, "plain": plain.hex(),
                      "sealed": stream_cipher(key, offset, plain).hex()})
    return {"key": key.hex(), "parts": parts}


def document_vector():
    vectors = []
    for length in (0, 1, 15, 16, 63, 64, 65, 200):
        key = sha256(b"document key %d" % length)
        document = lcg(length, length)
        vectors.append({"key": key.hex(), "document": document.hex(),
                        "sealed": document_seal(key, document).hex()})
    return vectors


def tree_vector():
    trees = []
    for count in (1, 2, 3, 5, 7, 8, 12, 16, 17, 40):
        hashes = [leaf_hash(bytes([index] * 3)) for index in range(count)]
        ranges = sorted({(0, 1), (count - 1, count), (0, count), (count // 3, count // 2 + 1)})
        trees.append({
            "count": count, "root": tree_root(hashes).hex(),
            "proofs": [{"lower": a, "upper": b,
                        "proof": [node.hex() for node in range_proof(hashes, a, b)]}
                       for a, b in ranges]})
    return trees


def parity_vector():
    shapes = []
    for k, n in ((1, 3), (2, 4), (3, 5), (5, 8), (16, 24)):
        data = [lcg(100 * k + column, 24) for column in range(k)]
        shapes.append({"dataShards": k, "groupShards": n, "data": [x.hex() for x in data],
                       "parity": [x.hex() for x in parity(data, n)]})
    return shapes


def vectors():
    blobs = [blob_vector(1, 70000, 2, 4, 1), blob_vector(2, CELL + 20000, 1, 3, 1),
             blob_vector(3, 1, 1, 3, 1), blob_vector(4, 65536, 3, 5, 7)]
    seed = sha256(b"signing seed")
    return {
        "comment": "Written by check_vectors.py --write; bytes are hexadecimal.",
        "keys": keys_vector(), "stream": stream_vector(), "documents": document_vector(),
        "trees": tree_vector(), "parity": parity_vector(), "blobs": blobs,
        "records": record_vectors(), "getRecords": get_record_vectors(),
        "announcements": announcement_vectors(), "credit": credit_vector(),
        "catalogues": [catalogue_vector(sha256(b"owner"), sha256(b"delegate"))],
        "manifests": [manifest_vector(seed, blobs[0]),
                      manifest_vector(seed, blobs[0], sha256(b"private read key"))],
    }


def check_official():
    """Vectors that the documents of the algorithms publish."""
    # draft-irtf-cfrg-xchacha-03, 2.2.1 and A.3.1.
    assert hchacha(bytes(range(32)), bytes.fromhex("000000090000004a0000000031415927")).hex() == (
        "82413b4227b27bfed30e42508a877d73a0f9e4d58a74a853c12ec41326d3ecdc")
    sealed = aead_seal(
        bytes(range(0x80, 0xA0)), bytes(range(0x40, 0x58)),
        b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the "
        b"future, sunscreen would be it.", bytes.fromhex("50515253c0c1c2c3c4c5c6c7"))
    assert sealed.hex() == (
        "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb"
        "731c7f1b0b4aa6440bf3a82f4eda7e39ae64c6708c54c216cb96b72e1213b452"
        "2f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff9"
        "21f9664c97637da9768812f615c68b13b52ec0875924c1c7987947deafd8780acf49")
    # RFC 8032, 7.1, test 1.
    public, signature = ed25519(bytes.fromhex(
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"), b"")
    assert public.hex() == "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    assert signature.hex() == (
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555"
        "fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b")
    # BIP 350, valid Bech32m strings; the alphabet is Bitcoin's.
    bitcoin = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
    for text in ("a1lqfn3a", "abcdef1l7aum6echk45nj3s0wdvt2fg8x9yrzpqzd3ryx", "?1v759aa",
                 "split1checkupstagehandshakeupstreamerranterredcaperredlc445v"):
        readable, data = text.rsplit("1", 1)
        values = [bitcoin.index(letter) for letter in data]
        assert bech32m(readable, values[:-6]) == values[-6:], text
    # The Certificate Transparency reference tree.
    leaves = [leaf_hash(bytes.fromhex(leaf)) for leaf in (
        "", "00", "10", "2021", "3031", "40414243", "5051525354555657",
        "606162636465666768696a6b6c6d6e6f")]
    assert tree_root(leaves[:3]).hex() == (
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77")
    assert tree_root(leaves).hex() == (
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328")


def differences(path, stored, computed):
    if isinstance(stored, dict) and isinstance(computed, dict):
        for name in sorted(stored.keys() | computed.keys()):
            yield from differences(path + "." + name, stored.get(name), computed.get(name))
    elif isinstance(stored, list) and isinstance(computed, list) and len(stored) == len(computed):
        for index, pair in enumerate(zip(stored, computed)):
            yield from differences("%s[%d]" % (path, index), *pair)
    elif stored != computed:
        yield path


def main():
    check_official()
    name = os.path.join(os.path.dirname(os.path.abspath(__file__)), "format.json")
    computed = vectors()
    if sys.argv[1:] == ["--write"]:
        with open(name, "w") as file:
            json.dump(computed, file, indent=1)
            file.write("\n")
        return 0
    with open(name) as file:
        wrong = list(differences("format", json.load(file), computed))
    for path in wrong:
        print("mismatch:", path)
    print("%d mismatches" % len(wrong) if wrong else "all vectors match")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
