"""A home router of one address that speaks NAT-PMP (RFC 6886), for scripts/check-dht:
`nat_router.py ADDRESS`.

It grants every request, as the port above it by a thousand, so that nobody mistakes the port that
was asked for for the one that was given. Says `ready`, and then what it was asked, line by line.
"""

import socket
import struct
import sys

OUTSIDE = socket.inet_aton("20.1.2.3")
UNSUPPORTED_VERSION = 1


def answer(request):
    """What the router says to a request; none to what is no request."""
    if len(request) < 2:
        return None
    version, operation = request[0], request[1]
    if version != 0:
        # Who speaks PCP (RFC 6887) tries NAT-PMP next.
        return struct.pack("!BBHI", 0, 128 | operation, UNSUPPORTED_VERSION, 1)
    if operation == 0:
        return struct.pack("!BBHI4s", 0, 128, 0, 1, OUTSIDE)
    if operation not in (1, 2) or len(request) < 12:
        return None
    inner, _, seconds = struct.unpack("!HHI", request[4:12])
    print("udp" if operation == 1 else "tcp", inner, seconds, flush=True)
    outer = inner + 1000 if seconds else 0
    return struct.pack("!BBHIHHI", 0, 128 | operation, 0, 1, inner, outer, seconds)


def main(address):
    router = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    router.bind((address, 5351))
    print("ready", flush=True)
    while True:
        request, sender = router.recvfrom(2048)
        reply = answer(request)
        if reply:
            router.sendto(reply, sender)


main(sys.argv[1])
