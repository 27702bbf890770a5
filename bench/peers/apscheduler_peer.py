"""APScheduler 3: N jobs on one cron line, each posting to URL/<job>. Arguments: URL, jobs."""

import http.client
import sys
import threading
from urllib.parse import urlsplit

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.blocking import BlockingScheduler

URL, JOBS = urlsplit(sys.argv[1]), int(sys.argv[2])
WORKERS = 64
local = threading.local()


def fire(job):
    """One POST over this thread's own connection, which is kept open."""
    if not hasattr(local, "connection"):
        local.connection = http.client.HTTPConnection(URL.netloc)
    local.connection.request("POST", f"/{job}", body=f'{{"n":{job}}}')
    local.connection.getresponse().read()


# By default a job that is a second late is dropped: with a thousand times as many jobs as workers
# that would be most of them.
scheduler = BlockingScheduler(
    executors={"default": ThreadPoolExecutor(WORKERS)},
    job_defaults={"misfire_grace_time": None, "max_instances": 10},
)
for n in range(1, JOBS + 1):
    scheduler.add_job(fire, "cron", second="*/10", args=[n], id=str(n))
print("ready", flush=True)
scheduler.start()
