"""petalsfs alone: few and many holders, dead, slow, damaged and far ones, and many readers.

Every scenario reads the same model, in rounds, from a swarm that stands on the disk once; only
the nodes are started and ended. SHA-256 is compared after each.
"""

import time

from bench import processes, reading
from bench.results import percentile
from bench.rounds import rate
from bench.swarm import ALL_SHARDS, DATA_SHARDS, PARTS, SHARDS, Links, Swarm
from bench.workspace import Trouble, say

DEAD = ALL_SHARDS - DATA_SHARDS
ROTTEN_EVERY = 5
SLOWER = 100
FAR_MBIT, FAR_MS = 200, 40
RANDOM_READS, RANDOM_SECONDS = 240, 20
THREADS, READERS = 16, 8

TITLES = {
    "holders_1": "1 holder, cold",
    "holders_4": "4 holders, cold",
    "holders_8": "8 holders, cold",
    "dead": f"8 holders, {DEAD} of them killed before the read",
    "slow": f"4 holders, one {SLOWER} times slower",
    "random": "4 holders, random reads",
    "slow_random": f"the same, one holder {SLOWER} times slower",
    "rotten": "4 holders, one with a wrong bit in 20 % of its leaves",
    "far": f"8 holders, each {FAR_MS} ms away, {FAR_MBIT} Mbit/s each",
    "together": f"{READERS} processes read one file, cold: their sum",
    "threads": f"{THREADS} threads at own offsets, from the disk cache in memory",
    "disk_cache": "1 thread, from the disk cache in memory, mounted again",
    "disk_cache_dropped": "1 thread, from the disk cache, page cache dropped",
    "page_cache": "second read, from the page cache",
    "page_cache_local": "a local file, from the page cache",
}


class Scenarios:
    """The swarms of one model, and a method for each scenario."""

    def __init__(self, workspace, program, source, expected, results):
        self.workspace, self.results, self.expected = workspace, results, expected
        self.source = source
        self.swarm = Swarm(workspace, program, workspace.path / "scenarios")
        self.swarm.publish(source)
        self.swarm.fill(*PARTS)
        self.stored = self.swarm.published["stored"]

    def names(self, count):
        return [self.swarm.holder(count, number) for number in range(count)]

    def add_cold(self, scenario, path, facts):
        """Books a cold read of the whole file, and what it fetched for it."""
        reading.check(path, self.expected)
        node = self.swarm.status()["node"]
        self.results.add_scenario(
            scenario, rate=rate(facts), fetched=node["fetchedBytes"] / self.stored,
            rebuilt=node["rebuiltCells"], damaged=node["damagedLeaves"],
            memory=processes.peak_megabytes([self.swarm.mount_process.pid]))

    def add_random(self, scenario, path, facts):
        """Books random reads, and what was fetched for each byte of them."""
        times = facts["milliseconds"]
        fetched = self.swarm.status()["node"]["fetchedBytes"]
        self.results.add_scenario(
            scenario, p50=percentile(times, 50), p99=percentile(times, 99),
            fetched=fetched / facts["bytes"])
        reading.check(path, self.expected)

    def read_sequential(self, scenario, path):
        self.add_cold(scenario, path, reading.read("sequential", path))

    def read_random(self, scenario, path):
        self.add_random(
            scenario, path, reading.read("random", path, RANDOM_READS, RANDOM_SECONDS))

    def read_cold(self, scenario, names, addresses=None, before=lambda: None, way=None):
        """Starts holders, mounts, lets something happen, and reads, in order unless told else."""
        self.swarm.start_holders([name for name in names if name not in self.swarm.holders])
        try:
            self.swarm.warm()
            path = self.swarm.mount(addresses)
            before()
            (way or self.read_sequential)(scenario, path)
        finally:
            self.end_mount()
            self.swarm.stop_holders()

    def end_mount(self):
        if self.swarm.mount_process:
            self.swarm.unmount()
        self.swarm.forget_reader()

    def holders(self):
        for count in PARTS:
            self.read_cold(f"holders_{count}", self.names(count))

    def dead(self):
        victims = self.names(8)[1::2][:DEAD]

        def kill():
            for victim in victims:
                self.swarm.kill_holder(victim)

        self.read_cold("dead", self.names(8), before=kill)

    def behind_links(self, scenario, names, linked, rate_mbit, delay_ms=0, way=None):
        """Reads while some of the holders are behind slow links; all traffic must go there."""
        self.swarm.start_holders(names)
        real = dict(zip(names, self.swarm.addresses()))
        links = Links(self.workspace, [real[name] for name in linked], rate_mbit, delay_ms)
        instead = dict(zip(linked, links.addresses))
        addresses = [instead.get(name, real[name]) for name in names]

        def check_peers():
            peers = self.swarm.status()["node"]["peers"]
            strays = {peer["address"] for peer in peers if peer["dialled"]} - set(addresses)
            if strays:
                raise Trouble(f"the reader went round the slow links, to {len(strays)} addresses")

        try:
            self.read_cold(scenario, names, addresses, check_peers, way)
        finally:
            carried = links.close()
        if linked == names and sum(carried) < self.stored:
            raise Trouble("less than the model came through the slow links")

    def slow(self):
        usual = self.results.scenario_cells["holders_4", "rate"][-1] / 4
        names = self.names(4)
        slow_mbit = usual * 8 / SLOWER
        self.behind_links("slow", names, names[:1], slow_mbit)
        self.read_cold("random", names, way=self.read_random)
        self.behind_links("slow_random", names, names[:1], slow_mbit, way=self.read_random)

    def far(self):
        self.behind_links("far", self.names(8), self.names(8), FAR_MBIT, FAR_MS)

    def rotten(self):
        names = self.names(4)
        self.swarm.rot(names[2], "rotten", ROTTEN_EVERY)
        self.read_cold("rotten", [*names[:2], "rotten", names[3]])

    def together(self):
        self.swarm.start_holders(self.names(4))
        try:
            self.swarm.warm()
            path = self.swarm.mount()
            began = time.monotonic()
            facts = reading.read_together("sequential", path, READERS)
            # The interpreters start inside of this time: some 30 ms, the same for every run.
            total = {"bytes": sum(fact["bytes"] for fact in facts),
                     "seconds": time.monotonic() - began}
            self.add_cold("together", path, total)
        finally:
            self.end_mount()
            self.swarm.stop_holders()

    def cached(self):
        """Whatever needs a filled cache: filled once, then read without any holder."""
        self.swarm.start_holders(self.names(4))
        try:
            path = self.swarm.mount(keep_cache=True)
            reading.check(path, self.expected)
            self.add_rate("page_cache", reading.read("sequential", path))
            reading.warm(self.source)
            self.add_rate("page_cache_local", reading.read("sequential", self.source))
        finally:
            self.swarm.unmount()
            self.swarm.stop_holders()
        try:
            reading.warm(self.swarm.state("reader") / "blobs")
            path = self.swarm.mount([], keep_cache=True)
            self.add_rate("disk_cache", reading.read("sequential", path))
            self.add_rate("threads", reading.read("threads", path, THREADS, drop_pages=True))
            reading.check(path, self.expected)
            reading.drop_page_cache()
            self.add_rate("disk_cache_dropped", reading.read("sequential", path))
            reading.check(path, self.expected)
        finally:
            self.end_mount()

    def add_rate(self, scenario, facts):
        self.results.add_scenario(scenario, rate=rate(facts))


def run(workspace, program, source, expected, results, pauses):
    """Runs all scenarios in rounds."""
    results.scenarios |= TITLES
    say(f"scenarios: publishing {source.name} in {SHARDS} to 1, 4 and 8 holders")
    scenarios = Scenarios(workspace, program, source, expected, results)
    steps = [scenarios.holders, scenarios.dead, scenarios.slow, scenarios.rotten, scenarios.far,
             scenarios.together, scenarios.cached]
    for number in range(results.runs):
        results.begin_round("scenarios")
        for step in steps:
            say(f"scenarios, round {number + 1} of {results.runs}: {step.__name__}")
            try:
                again(step, results, pauses)
            except Trouble as trouble:
                results.trouble(f"petalsfs, scenario {step.__name__}", trouble)
                say(f"{step.__name__}: {trouble}")
    scenarios.swarm.close()


def again(step, results, pauses):
    """Takes a step; when a pause disturbed it, what it booked is taken back first."""
    booked = {key: len(samples) for key, samples in results.scenario_cells.items()}

    def measure():
        for key, samples in results.scenario_cells.items():
            del samples[booked.get(key, 0):]
        step()

    pauses.undisturbed(measure)
