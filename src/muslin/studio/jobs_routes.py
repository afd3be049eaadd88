"""The paths below /api/jobs: long work that a page starts, looks at and stops."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from muslin.studio.jobs import Jobs
from muslin.studio.requests import text_of, value_of
from muslin.studio.responses import json_body, response_of
from muslin.studio.work_queue import WorkQueue

JOB_THREADS = 4
MAX_QUEUED = 32
MAX_WHO = 200


def jobs_routes(jobs: Jobs) -> list[Route]:
    """All paths below /api/jobs."""
    queue = WorkQueue(JOB_THREADS, MAX_QUEUED)

    async def listing(request: Request) -> Response:
        return response_of(request, {"jobs": await queue.run(jobs.list)})

    async def start(request: Request) -> Response:
        body = await json_body(request)
        kind, who, params = text_of(body, "kind"), str(body.get("who") or "")[:MAX_WHO], value_of(body, "params", dict)
        return response_of(request, await queue.run(lambda: jobs.start(kind, who, params)))

    async def get(request: Request) -> Response:
        job = text_of(await json_body(request), "id")
        return response_of(request, await queue.run(lambda: jobs.get(job)))

    async def stop(request: Request) -> Response:
        job = text_of(await json_body(request), "id")
        return response_of(request, await queue.run(lambda: jobs.stop(job)))

    return [
        Route("/api/jobs", listing, methods=["GET"]),
        Route("/api/jobs/start", start, methods=["POST"]),
        Route("/api/jobs/get", get, methods=["POST"]),
        Route("/api/jobs/stop", stop, methods=["POST"]),
    ]
