"""Runs a load generator against one door and says what it cost: requests, seconds, CPU of the proxy, memory.
A run in which a single request failed is no measurement: it is an error."""

import json
import re
import subprocess


def wrk(tools, door, path="/", seconds=5, connections=64, script=None):
    """HTTP/1.1 keep-alive, as fast as it goes."""
    command = [tools.wrk, "-t2", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s", "-H", f"Host: {door.host}"]
    for header in door.headers:
        command += ["-H", header]
    if script:
        command += ["-s", script]
    command.append(f"http://127.0.0.1:{door.port}{path}")
    said, cost = costing(door, command)
    for trouble in ("Non-2xx or 3xx responses", "Socket errors"):
        if trouble in said:
            raise RuntimeError(f"wrk against {door.origin}{path}: {said}")
    requests, took = re.search(r"(\d+) requests in ([\d.]+)(m?s)", said).group(1, 2)
    return sample(int(requests), float(took), cost)


def h2load(tools, door, path="/", seconds=5, connections=64, streams=1):
    """TLS 1.3 and HTTP/2, as fast as it goes."""
    command = [tools.h2load, "-t1", f"-c{connections}", f"-m{streams}", f"-D{seconds}", f"--connect-to=127.0.0.1:{door.port}"]
    for header in door.headers:
        command += ["-H", header]
    command.append(f"{door.origin}{path}")
    said, cost = costing(door, command)
    good = int(re.search(r"status codes: (\d+) 2xx", said).group(1))
    done, failed = re.search(r"(\d+) done, \d+ succeeded, (\d+) failed", said).group(1, 2)
    if int(failed) or good < int(done) or "Application protocol: h2" not in said or "TLSv1.3" not in said:
        raise RuntimeError(f"h2load against {door.origin}{path}: {said}")
    return sample(good, float(seconds), cost)


def pace(tools, door, path="/", seconds=5, connections=64, rate=20000):
    """HTTP/1.1 at a fixed rate; times to the whole answer, open loop."""
    command = [tools.pace, f"127.0.0.1:{door.port}", path, connections, rate, seconds, f"Host: {door.host}", *door.headers]
    said, cost = costing(door, command)
    times = json.loads(said)
    measured = sample(times["requests"], float(seconds), cost)
    # Half a second of warming up was sent and not counted.
    share = seconds / (seconds + 0.5)
    for key in ("cpu", "user", "system"):
        measured[key] *= share
    return {**measured, **{key: times[key] / 1000 for key in ("p50", "p99", "p999")}, "reached": times["rate"] / rate}


def costing(door, command):
    """What the command said, and what it cost the proxy meanwhile."""
    before = door.process.cpu()
    ran = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    after = door.process.cpu()
    if ran.returncode:
        raise RuntimeError(f"{command[0]} against {door.origin}: {ran.stdout}{ran.stderr}")
    user, system = after[0] - before[0], after[1] - before[1]
    return ran.stdout, (user, system, door.process.resident())


def sample(requests, seconds, cost):
    """One run: requests a second, microseconds of CPU a request, MiB resident at its end."""
    if not requests:
        raise RuntimeError("not a single request was answered")
    user, system, resident = cost
    per_request = 1_000_000 / requests
    return {
        "requests": requests, "rate": requests / seconds, "cpu": (user + system) * per_request, "user": user * per_request,
        "system": system * per_request, "resident": resident / 1024 / 1024,
    }
