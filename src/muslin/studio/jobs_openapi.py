"""What the paths below /api/jobs take and return: a row for each, as in `muslin.studio.openapi`."""

from muslin.studio.job_kinds import JOBS
from muslin.web.api_schemas import (
    ANY_OBJECT,
    BOOLEAN,
    NAME,
    NUMBER,
    STRING,
    Operation,
    Schema,
    list_of,
    object_of,
    or_null,
    ref,
    request_of,
)

JOBS_SCHEMAS: dict[str, Schema] = {
    "JobId": NAME | {"description": "As `/api/jobs` lists them."},
    "Job": object_of(
        id=STRING, kind={"enum": list(JOBS)}, who=STRING, params=ANY_OBJECT, started=STRING,
        pid=or_null({"type": "integer"}), is_running=BOOLEAN, lines=list_of({"anyOf": [ref("Message"), STRING]}),
        progress=or_null(NUMBER | {"minimum": 0, "maximum": 1}), detail=ANY_OBJECT, error=or_null(ref("Message")),
        result=or_null(ANY_OBJECT),
    ),
}  # fmt: skip

ONE_JOB = ref("Job")

JOBS_OPERATIONS: dict[tuple[str, str], Operation] = {
    ("GET", "/api/jobs"): Operation(
        "The jobs of the folder, newest first, with how far they are.", object_of(jobs=list_of(ref("Job")))
    ),
    ("POST", "/api/jobs/start"): Operation(
        "Start a job in a process of its own.", ONE_JOB,
        request_of(("kind",), kind={"enum": list(JOBS)}, who=or_null(STRING), params=ANY_OBJECT),
    ),
    ("POST", "/api/jobs/get"): Operation("How far a job is.", ONE_JOB, request_of(("id",), id=ref("JobId"))),
    ("POST", "/api/jobs/stop"): Operation(
        "Tell a job to stop. What it has finished is kept.", ONE_JOB, request_of(("id",), id=ref("JobId"))
    ),
}  # fmt: skip
