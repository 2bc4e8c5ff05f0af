"""All systems read the same file in turn, round after round."""

from bench import processes, reading
from bench.results import percentile
from bench.workspace import Trouble, say

RANDOM_READS, RANDOM_SECONDS = 200, 30


def rate(facts):
    return facts["bytes"] / facts["seconds"] / 1e6


def cold_latencies(system):
    """First bytes and random reads, on a mount of their own, since they warm each other."""
    path = system.mount()
    try:
        first = reading.read("first", path)["milliseconds"]
        times = reading.read("random", path, RANDOM_READS, RANDOM_SECONDS)["milliseconds"]
    finally:
        system.unmount()
    return {
        "first": first, "random_p50": percentile(times, 50), "random_p99": percentile(times, 99),
    }


def whole_reads(system, expected):
    """The whole file, cold and from every cache in turn."""
    values = {}
    path = system.mount()
    try:
        before = processes.settled_cpu_seconds(system.pids())
        cold = reading.read("sequential", path)
        spent = processes.settled_cpu_seconds(system.pids()) - before + cold["cpu"]
        values["sequential"] = rate(cold)
        values["cpu"] = spent / (cold["bytes"] / 1e9)
        # Hashed apart from reading: beside it, read-ahead would work while we hash.
        reading.check(path, expected)
        values["page_cache"] = rate(reading.read("sequential", path))
        values["disk_cache"] = rate(reading.read("sequential", path, drop_pages=True))
        reading.drop_page_cache()
        values["disk_cache_dropped"] = rate(reading.read("sequential", path))
        reading.check(path, expected)
        values["memory"] = processes.peak_megabytes(system.client_pids())
        values["memory_origin"] = processes.peak_megabytes(system.origin_pids())
    finally:
        system.unmount()
    return values


def download(system, expected):
    """The whole file, for a system without a mount."""
    before = processes.settled_cpu_seconds(system.pids())
    seconds, cpu, memory = system.download(expected)
    spent = processes.settled_cpu_seconds(system.pids()) - before + cpu
    size = system.source.stat().st_size
    return {
        "sequential": size / seconds / 1e6, "cpu": spent / (size / 1e9), "memory": memory,
        "memory_origin": processes.peak_megabytes(system.origin_pids()),
    }


def measure(system, expected, pauses):
    """Everything that one round asks of a system."""
    system.warm_origin()
    if not system.mounts:
        return pauses.undisturbed(lambda: download(system, expected))
    values = pauses.undisturbed(lambda: cold_latencies(system))
    system.warm_origin()
    return values | pauses.undisturbed(lambda: whole_reads(system, expected))


def run(systems, name, source, expected, results, pauses):
    """Measures every system with one input; a system in trouble is told and left out."""
    taking_part = []
    try:
        for system in systems:
            if system.bytes_most and source.stat().st_size > system.bytes_most:
                results.leave_out(system.name, name)
                continue
            say(f"{system.title}: starting the origin of {name}")
            try:
                system.start_origin(source)
                taking_part.append(system)
            except Trouble as trouble:
                results.trouble(f"{system.title}, {name}", trouble)
                say(f"{system.title}: {trouble}")
        for number in range(results.runs):
            results.begin_round(name)
            # Another one goes first each time, so that none profits from its place.
            turn = number % max(len(taking_part), 1)
            for system in taking_part[turn:] + taking_part[:turn]:
                if number >= (system.rounds_most or results.runs):
                    continue
                say(f"{name}, round {number + 1} of {results.runs}: {system.title}")
                try:
                    values = measure(system, expected, pauses)
                except Trouble as trouble:
                    results.trouble(f"{system.title}, {name}", trouble)
                    say(f"{system.title}: {trouble}")
                    taking_part.remove(system)
                    system.stop_origin()
                    continue
                for figure, value in values.items():
                    results.add(figure, name, system.name, value)
    finally:
        for system in taking_part:
            system.stop_origin()
