#!/usr/bin/env python3
"""Runs the same workload by Scheduler0 and by what a user would pick instead, one after the other,
against the same receiver; see README.md. Only the standard library is needed here.

    run.py --scheduler0 target/release/scheduler0 --receiver target/release/examples/peers-receiver

Prints a table; --json prints one object a contender. What is not there is left out, and said."""

import argparse
import base64
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent
PERIOD = 10
TICKS = os.sysconf("SC_CLK_TCK")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def cpu_s(pid):
    """Processor time of a process and its ended children, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return sum(int(n) for n in fields[11:15]) / TICKS


class Contender:
    """Processes that fire jobs 1 to N (after `before`) every ten seconds; `start` returns when it
    is certain that they will."""

    before = 0

    def __init__(self, name):
        self.name, self.processes = name, []
        self.folder = Path(tempfile.mkdtemp(prefix="peers-"))

    def spawn(self, command, **more):
        log = open(self.folder / f"{len(self.processes)}.log", "w")
        process = subprocess.Popen(command, stderr=log, start_new_session=True, **more)
        self.processes.append(process)
        return process

    def until_ready(self, process):
        for line in process.stdout:
            if line.strip() == b"ready":
                return
        said = "".join(log.read_text()[-1000:] for log in sorted(self.folder.glob("*.log")))
        raise RuntimeError(f"{self.name} ended: {said}")

    def end(self):
        for process in self.processes:
            process.send_signal(signal.SIGKILL)
            process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


class Command(Contender):
    """One process that takes URL and number of jobs, and says when it is ready."""

    def __init__(self, name, command, cwd=None):
        super().__init__(name)
        self.command, self.cwd = command, cwd

    def start(self, url, jobs):
        command = [*self.command, url, str(jobs)]
        self.until_ready(self.spawn(command, stdout=subprocess.PIPE, cwd=self.cwd))


class BullMq(Contender):
    """A worker and its Redis, as durable as Redis is by default when the append-only file is on."""

    def __init__(self, modules):
        super().__init__("BullMQ")
        self.modules = modules

    def start(self, url, jobs):
        port = str(free_port())
        redis = ["redis-server", "--port", port, "--bind", "127.0.0.1", "--dir", str(self.folder)]
        redis += ["--appendonly", "yes", "--maxmemory-policy", "noeviction"]
        self.spawn(redis, stdout=subprocess.DEVNULL)
        while socket.socket().connect_ex(("127.0.0.1", int(port))):
            time.sleep(0.05)
        worker = ["node", str(HERE / "bullmq_peer.js"), url, str(jobs), port]
        environment = {**os.environ, "NODE_PATH": str(self.modules)}
        self.until_ready(self.spawn(worker, stdout=subprocess.PIPE, env=environment))


class Scheduler0(Contender):
    """Nodes of Scheduler0 with every setting at its default."""

    def __init__(self, binary, nodes, batched):
        super().__init__(f"Scheduler0, {nodes} node{'s' * (nodes > 1)}, {'batched' if batched else 'single'}")
        self.binary, self.nodes, self.batched = binary, nodes, batched

    def start(self, url, jobs):
        ports = [(free_port(), free_port()) for _ in range(self.nodes)]
        replicas = [
            {"nodeId": n, "address": f"http://127.0.0.1:{api}", "raft_address": f"127.0.0.1:{raft}"}
            for n, (api, raft) in enumerate(ports, 1)
        ]
        (self.folder / "config.yml").write_text("LogLevel: WARN\n")
        for n, (api, raft) in enumerate(ports, 1):
            env = {
                "SCHEDULER0_SECRET_KEY": "0123456789abcdef" * 4,
                "SCHEDULER0_AUTH_USERNAME": "peers",
                "SCHEDULER0_AUTH_PASSWORD": "peers-of-a-bench",
                "SCHEDULER0_NODE_ID": str(n),
                "SCHEDULER0_HOST": "127.0.0.1",
                "SCHEDULER0_PORT": str(api),
                "SCHEDULER0_RAFT_ADDRESS": f"127.0.0.1:{raft}",
                "SCHEDULER0_BOOTSTRAP": "true" if n == 1 else "false",
                "SCHEDULER0_DATA_DIR": str(self.folder / f"node{n}"),
            }
            if self.nodes > 1:
                env["SCHEDULER0_REPLICAS"] = json.dumps(replicas)
            command = [self.binary, "start", "--config", "config.yml"]
            self.spawn(command, cwd=self.folder, env=env, stdout=subprocess.DEVNULL)
        self.base = f"http://127.0.0.1:{ports[0][0]}"
        for api, _ in ports:
            self.wait(lambda: self.ask("GET", "/readyz", base=f"http://127.0.0.1:{api}"))
        self.wait(self.owned)
        made = self.ask("POST", "/api/v1/projects", {"name": "peers", "description": "measured"})
        project = json.loads(made)["data"]["id"]
        first = None
        for start in range(1, jobs + 1, 1000):
            batch = [self.job(project, url, n) for n in range(start, min(start + 1000, jobs + 1))]
            made = self.ask("POST", "/api/v1/jobs", batch, {"prefer": "return=representation"})
            first = first or json.loads(made)["data"][0]["id"]
        self.before = first - 1

    def job(self, project, url, n):
        job = {"projectId": project, "spec": "*/10 * * * * *", "timezone": "UTC"}
        if self.batched:
            return {**job, "callbackUrl": f"{url}/batch", "data": json.dumps({"n": n})}
        return {**job, "http": {"url": url + "/{{jobId}}"}, "data": json.dumps({"n": n})}

    def ask(self, method, path, body=None, headers=None, base=None):
        pair = base64.b64encode(b"peers:peers-of-a-bench").decode()
        request = urllib.request.Request(
            (base or self.base) + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"authorization": f"Basic {pair}", "x-peer": "cmd",
                     "content-type": "application/json", **(headers or {})},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.read()

    def owned(self):
        shards = json.loads(self.ask("GET", "/api/v1/cluster/status"))["data"]["shards"]
        if not shards or not all(shard["owner"] for shard in shards):
            raise OSError("not every shard has an owner yet")

    @staticmethod
    def wait(attempt):
        end = time.monotonic() + 60
        while True:
            try:
                return attempt()
            except OSError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.1)


def measure(contender, receiver, jobs, instants):
    """Lets one contender run; what the receiver saw, and what it cost."""
    listener = subprocess.Popen([receiver], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        url = f"http://{listener.stdout.readline().strip()}"
        begin = time.time()
        contender.start(url, jobs)
        loaded = time.time() - begin
        # Their first instant is not counted: connections are opened in it.
        first = (int(time.time()) // PERIOD + 2) * PERIOD
        listener.stdin.write(f"{jobs} {contender.before} {first * 1000} {instants}\n")
        listener.stdin.flush()
        time.sleep(first - 1 - time.time())
        spent = [cpu_s(process.pid) for process in contender.processes]
        found = json.loads(listener.stdout.readline())
        spent = [cpu_s(process.pid) - s for process, s in zip(contender.processes, spent)]
        found.update(name=contender.name, ready_s=round(loaded, 1), cpu_s=round(sum(spent), 2))
        found["cpu_us_per_firing"] = round(sum(spent) * 1e6 / max(found["fired"], 1), 1)
        return found
    finally:
        contender.end()
        listener.kill()
        listener.wait()


def contenders(flags):
    """Those that are here."""
    for nodes in (1, 3):
        for batched in (True, False):
            yield Scheduler0(str(Path(flags.scheduler0).resolve()), nodes, batched)
    python = flags.python
    if subprocess.run([python, "-c", "import apscheduler"], capture_output=True).returncode == 0:
        yield Command("APScheduler", [python, str(HERE / "apscheduler_peer.py")])
    else:
        print(f"{python} has no apscheduler: left out", file=sys.stderr)
    if (Path(flags.node_modules) / "bullmq").is_dir() and shutil.which("redis-server"):
        yield BullMq(Path(flags.node_modules).resolve())
    else:
        print("bullmq or redis-server is missing: left out", file=sys.stderr)
    if flags.robfig and Path(flags.robfig).exists():
        yield Command("robfig/cron", [str(Path(flags.robfig).resolve())])
    else:
        print("robfig/cron is not built: left out", file=sys.stderr)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scheduler0", required=True)
    parser.add_argument("--receiver", required=True)
    parser.add_argument("--python", default=sys.executable, help="one that has apscheduler")
    parser.add_argument("--node-modules", default="node_modules", help="where bullmq is")
    parser.add_argument("--robfig", help="robfig_peer.go, built")
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--instants", type=int, default=4)
    parser.add_argument("--json", action="store_true")
    flags = parser.parse_args()
    if not flags.json:
        print("| | fired / expected | again | lag ms p50 | p90 | p99 | max | CPU us a firing |")
        print("|---|---|---|---|---|---|---|---|")
    for contender in contenders(flags):
        found = measure(contender, flags.receiver, flags.jobs, flags.instants)
        lag = found["lag_ms"]
        row = [found["name"], f"{found['fired']:,} / {found['expected']:,}", found["again"],
               lag["p50"], lag["p90"], lag["p99"], lag["max"], found["cpu_us_per_firing"]]
        print(json.dumps(found) if flags.json else "| " + " | ".join(map(str, row)) + " |", flush=True)


if __name__ == "__main__":
    main()
