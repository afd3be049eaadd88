"""The paths below /api/jobs: long work that a page starts, looks at and stops."""

from typing import Any

from starlette.routing import Route

from muslin.studio.jobs import Jobs
from muslin.studio.room_routes import MAX_QUEUED, get_route, post_route
from muslin.studio.work_queue import WorkQueue
from muslin.web.requests import Body, text_of, value_of

THREADS = 4
MAX_WHO = 200


def jobs_routes(jobs: Jobs) -> list[Route]:
    """All paths below /api/jobs."""
    queue = WorkQueue(THREADS, MAX_QUEUED)

    def start(body: Body) -> dict[str, Any]:
        return jobs.start(text_of(body, "kind"), str(body.get("who") or "")[:MAX_WHO], value_of(body, "params", dict))

    return [
        get_route(queue, "/api/jobs", lambda: {"jobs": jobs.list()}),
        post_route(queue, "/api/jobs/start", start),
        post_route(queue, "/api/jobs/get", lambda body: jobs.get(text_of(body, "id"))),
        post_route(queue, "/api/jobs/stop", lambda body: jobs.stop(text_of(body, "id"))),
    ]
