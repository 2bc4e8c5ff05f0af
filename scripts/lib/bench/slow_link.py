"""A TCP relay that is as slow and as far away as it is told to be.

    slow_link.py --delay-ms 40 --rate-mbit 200 127.0.0.1:7411 127.0.0.1:7412
    slow_link.py --self-test

Every target gets a link of its own. The addresses to dial instead come out as one JSON line; on
SIGTERM or the end of standard input a second line says how many bytes each link carried.

A link is modelled as a line is: bytes wait for their turn to be sent (the rate, shared by all
connections of the link, each direction for itself), and then travel (half of the delay). What
waits for its turn is bounded, as the buffer of a router is, so that TCP at the ends feels a full
link; what travels is bounded by rate times delay. Only the set-up of a TCP connection is not
delayed: the relay accepts at once.
"""

import argparse
import collections
import heapq
import json
import os
import selectors
import signal
import socket
import sys
import time

CHUNK = 64 << 10
# What may wait for its turn: 50 ms at the rate, and two chunks at least.
WAITING_SECONDS = 0.05


class Direction:
    """One way of a link: the clock of its rate, which all its connections share."""

    def __init__(self, bytes_per_second, delay):
        self.rate, self.delay = bytes_per_second, delay
        self.free_at = 0.0
        self.carried = 0

    def has_room(self, now):
        room = max(WAITING_SECONDS, 2 * CHUNK / self.rate)
        return self.free_at - now < room

    def send(self, count, now):
        """Takes the next turn for `count` bytes and returns when they arrive."""
        self.free_at = max(self.free_at, now) + count / self.rate
        self.carried += count
        return self.free_at + self.delay


class Flow:
    """The bytes of one connection in one direction."""

    def __init__(self, relay, direction, source, target):
        self.relay, self.direction = relay, direction
        self.source, self.target = source, target
        self.travelling = collections.deque()
        self.reading = self.source_open = True
        self.blocked = self.ended = False

    def read(self, now):
        """Takes what the source has, or stops asking it while the link is full."""
        if not self.direction.has_room(now):
            self.reading = False
            self.relay.at(now + CHUNK / self.direction.rate, self.read_on)
            return
        try:
            piece = self.source.recv(CHUNK)
        except BlockingIOError:
            return
        except OSError:
            piece = b""
        if not piece:
            self.source_open = self.reading = False
        arrives = self.direction.send(len(piece), now)
        self.travelling.append((arrives, memoryview(piece)))
        self.relay.at(arrives, self.deliver)

    def read_on(self, now):
        if self.source_open:
            self.reading = True
            self.read(now)
            self.relay.watch(self.source)

    def deliver(self, now):
        """Gives the target what has arrived; an empty piece is the end of the stream."""
        while self.travelling and self.travelling[0][0] <= now and not self.blocked:
            arrives, piece = self.travelling.popleft()
            try:
                if not piece:
                    self.ended = True
                    self.target.shutdown(socket.SHUT_WR)
                    self.relay.drop_if_ended(self)
                    return
                sent = self.target.send(piece)
            except BlockingIOError:
                sent = 0
            except OSError:
                self.relay.drop(self)
                return
            if sent < len(piece):
                self.travelling.appendleft((arrives, piece[sent:]))
                self.blocked = True
        self.relay.watch(self.target)

    def write_on(self, now):
        self.blocked = False
        self.deliver(now)


class Relay:
    """All links of this process, in one loop."""

    def __init__(self):
        self.selector = selectors.DefaultSelector()
        self.timers = []
        self.timer_count = 0
        self.flows_from, self.flows_to = {}, {}
        self.directions = []
        self.ended = False

    def add_link(self, target, bytes_per_second, delay):
        """Listens for a target and returns the port to dial instead."""
        up, down = (Direction(bytes_per_second, delay / 2) for _ in range(2))
        self.directions.append((up, down))
        listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        listener.setblocking(False)

        def accept(_):
            near, _ = listener.accept()
            try:
                far = socket.create_connection(target, timeout=5)
            except OSError:
                near.close()
                return
            for end in (near, far):
                end.setblocking(False)
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for direction, source, sink in ((up, near, far), (down, far, near)):
                flow = Flow(self, direction, source, sink)
                self.flows_from[source] = self.flows_to[sink] = flow
            self.watch(near)
            self.watch(far)

        self.selector.register(listener, selectors.EVENT_READ, accept)
        return listener.getsockname()[1]

    def at(self, when, call):
        self.timer_count += 1
        heapq.heappush(self.timers, (when, self.timer_count, call))

    def watch(self, end):
        """Asks the kernel for exactly what the two flows of a socket can use now."""
        source, sink = self.flows_from.get(end), self.flows_to.get(end)
        if source is None or sink is None:
            return
        events = (selectors.EVENT_READ if source.reading else 0) | (
            selectors.EVENT_WRITE if sink.blocked else 0)
        known = end in self.selector.get_map()
        if known and not events:
            self.selector.unregister(end)
        elif events and not known:
            self.selector.register(end, events, self.ready(end, source, sink))
        elif events and self.selector.get_key(end).events != events:
            self.selector.modify(end, events, self.ready(end, source, sink))

    def ready(self, end, source, sink):
        def call(now):
            if sink.blocked:
                sink.write_on(now)
            if source.reading:
                source.read(now)
            self.watch(end)
        return call

    def drop_if_ended(self, flow):
        back = self.flows_from.get(flow.target)
        if back is None or back.ended:
            self.drop(flow)

    def drop(self, flow):
        """Closes both ends of a connection that one end has given up."""
        for end in (flow.source, flow.target):
            if end not in self.flows_from and end not in self.flows_to:
                continue
            if end in self.selector.get_map():
                self.selector.unregister(end)
            for flows in (self.flows_from, self.flows_to):
                old = flows.pop(end, None)
                if old:
                    old.travelling.clear()
                    old.reading = old.source_open = old.blocked = False
            end.close()

    def run(self):
        while not self.ended:
            timeout = max(0, self.timers[0][0] - time.monotonic()) if self.timers else 1.0
            for key, _ in self.selector.select(min(timeout, 1.0)):
                if key.fileobj in self.selector.get_map():
                    key.data(time.monotonic())
            now = time.monotonic()
            while self.timers and self.timers[0][0] <= now:
                heapq.heappop(self.timers)[2](now)


def serve(arguments):
    relay = Relay()
    addresses = []
    for target in arguments.targets:
        host, _, port = target.rpartition(":")
        port = relay.add_link(
            (host, int(port)), arguments.rate_mbit * 1e6 / 8, arguments.delay_ms / 1e3)
        addresses.append(f"127.0.0.1:{port}")

    def end(*_):
        relay.ended = True

    def input_ready(_):
        if not os.read(0, 4096):
            end()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    # A pipe that closes is how a parent that dies says so.
    if not os.path.samestat(os.fstat(0), os.stat("/dev/null")):
        relay.selector.register(0, selectors.EVENT_READ, input_ready)
    print(json.dumps(addresses), flush=True)
    relay.run()
    print(json.dumps([up.carried + down.carried for up, down in relay.directions]), flush=True)


def self_test():
    """Measures a link with the eyes of its two ends, and fails if it is not what was asked."""
    import subprocess
    import threading

    rate_mbit, delay_ms, total = 200, 40, 30_000_000
    echo = socket.create_server(("127.0.0.1", 0))
    payload = os.urandom(total)

    def answer():
        while True:
            end, _ = echo.accept()
            order = end.recv(1)
            if order == b"p":
                while ping := end.recv(1):
                    end.sendall(ping)
            else:
                end.sendall(payload)
            end.close()

    threading.Thread(target=answer, daemon=True).start()
    link = subprocess.Popen(
        [sys.executable, __file__, "--rate-mbit", str(rate_mbit), "--delay-ms", str(delay_ms),
         f"127.0.0.1:{echo.getsockname()[1]}"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    port = int(json.loads(link.stdout.readline())[0].rpartition(":")[2])

    def dial(order):
        end = socket.create_connection(("127.0.0.1", port))
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        end.sendall(order)
        return end

    times = []
    with dial(b"p") as end:
        for _ in range(20):
            began = time.monotonic()
            end.sendall(b".")
            end.recv(1)
            times.append((time.monotonic() - began) * 1e3)
    delay = sorted(times)[len(times) // 2]

    received = bytearray()
    with dial(b"d") as end:
        received += end.recv(CHUNK)
        began, first = time.monotonic(), len(received)
        while piece := end.recv(1 << 20):
            received += piece
    rate = (total - first) * 8 / (time.monotonic() - began) / 1e6
    link.stdin.close()
    carried = json.loads(link.stdout.readline())[0]
    link.wait()

    # A byte that did not arrive as it was sent would be blamed on the file system under test.
    whole = bytes(received) == payload
    print(f"delay {delay:.1f} ms of {delay_ms}, rate {rate:.0f} Mbit/s of {rate_mbit}, "
          f"{carried} bytes carried, bytes {'equal' if whole else 'WRONG'}")
    right = (delay_ms <= delay < delay_ms * 1.15 and 0.9 < rate / rate_mbit < 1.05 and whole
             and carried == total + 2 + 2 * len(times))
    sys.exit(0 if right else 1)


def main():
    parser = argparse.ArgumentParser(description="A TCP relay with a rate and a delay.")
    parser.add_argument("--rate-mbit", type=float, default=200, help="rate of each link")
    parser.add_argument("--delay-ms", type=float, default=0, help="round-trip delay of each link")
    parser.add_argument("--self-test", action="store_true", help="measure a link and say how it is")
    parser.add_argument("targets", nargs="*", metavar="HOST:PORT")
    arguments = parser.parse_args()
    if arguments.rate_mbit <= 0 or arguments.delay_ms < 0:
        parser.error("a rate is above 0, and a delay is not below it")
    if arguments.self_test:
        self_test()
    elif arguments.targets:
        serve(arguments)
    else:
        parser.error("name a target, or --self-test")


if __name__ == "__main__":
    main()
