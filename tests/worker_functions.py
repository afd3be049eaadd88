"""What the tests let worker processes do."""

import os
import time
from typing import Any

import numpy as np

from muslin.errors import DataError, MuslinError
from muslin.messages import Message


def work(params: dict[str, Any], content: bytes) -> tuple[dict[str, Any], Any]:
    """Do what `params["do"]` says."""
    match params["do"]:
        case "return":
            return {"pid": os.getpid(), "value": params.get("value")}, content[::-1]
        case "refuse":
            raise DataError("page_missing", name=params["name"], reason=Message("page_missing"))
        case "refuse in general":
            raise MuslinError("too_many_requests", maximum=3)
        case "compute forever":
            while True:
                pass
        case "wait forever":
            time.sleep(3600)
        case "allocate":
            return {"bytes": np.ones(params["mb"] * 2**20, np.uint8).nbytes}, b""
        case "crash":
            os.abort()
        case "print":
            print("noise")
            os.write(1, b"more noise")
            return {}, b""
        case "fail":
            raise ZeroDivisionError("a bug")
    raise AssertionError(params)
