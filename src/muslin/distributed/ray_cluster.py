"""The connection to a Ray cluster: opened, asked and closed, with coded errors in place of Ray's own.

It is a Ray Client's, which speaks gRPC with one port of the head. A driver that joins the cluster instead is ended by
Ray, with no exception, when the head is lost.
"""

import logging
import os
import platform
import socket
import threading
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from muslin.errors import ExecutionError
from muslin.extras import require_extra
from muslin.library_errors import reason_of

CLIENT_PORT = 10001
"""Of `ray start --head`, for clients."""

REACH_S = 10
"""Seconds for a TCP connection to the head."""

RESPOND_S = 15
"""Seconds for the first response of a head, which may be busy. Ray itself would try for 35 s."""

CONNECT_TRIES = 3
"""Ray starts a process for each client, which fails on a busy head once in a while; the next try succeeds."""

SILENT_S = 300
"""Seconds without any response after which the head is given up. A link that was cut for a minute is used again up to a
minute after it heals, because TCP waits ever longer between its tries."""

CLOSE_S = 10
"""Seconds for saying goodbye to a head that may be gone."""


class RayCluster:
    """A connected Ray Client; one at a time in a process, as Ray has it.

    Attributes:
        address: `ray://HOST:PORT`.
    """

    def __init__(self, where: str) -> None:
        """
        Raises:
            ExecutionError: no cluster is there (`cluster_unreachable`, `cluster_not_here`), it does not let this client
                in (`cluster_refused`, `cluster_silent`), or it runs another Ray or Python (`cluster_versions`).
            MissingPartError: ray is not installed.
        """
        require_extra("ray")
        self.address = _address_of(where)
        _check_reachable(self.address)
        # one thread for all calls: Ctrl-C and the limit of time work while one of them waits for the network
        self._thread = ThreadPoolExecutor(1, "ray")
        self._is_lost = False
        self._ask(self._connect)

    def ask(self, call: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """What `call` returns, which speaks with the cluster.

        Raises:
            ExecutionError: the head is lost (`cluster_lost`), or its object store is full (`cluster_store_full`).
            RayError: what Ray says of a task or actor.
        """
        import ray.exceptions

        try:
            return self._ask(call, *arguments, **options)
        except (ray.exceptions.ObjectStoreFullError, ray.exceptions.OutOfDiskError):
            raise ExecutionError("cluster_store_full", address=self.address) from None
        except Exception as error:
            if isinstance(error, ray.exceptions.RayError) and ray.util.client.ray.is_connected():
                raise
            self._is_lost = True
            raise ExecutionError("cluster_lost", address=self.address) from error

    def close(self) -> None:
        """Leave the cluster, which ends all workers of this client."""
        import ray

        closing = threading.Thread(target=ray.shutdown, daemon=True)
        closing.start()
        closing.join(1 if self._is_lost else CLOSE_S)
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _ask(self, call: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        return self._thread.submit(call, *arguments, **options).result(SILENT_S)

    def _connect(self) -> None:
        with _quiet_ray():
            logging.getLogger("ray.util.client.logsclient").disabled = True  # it sets its own level
            import ray
            import ray.exceptions

            self._ping()
            for tries_left in reversed(range(CONNECT_TRIES)):
                try:
                    context = ray.init(self.address, log_to_driver=False, logging_level=logging.CRITICAL)
                    break
                except ray.exceptions.AuthenticationError:  # of a head whose first process lets all in
                    raise ExecutionError("cluster_refused", address=self.address) from None
                except (ConnectionAbortedError, RuntimeError) as error:
                    if not tries_left:
                        reason = reason_of(error)
                        raise ExecutionError("cluster_unreachable", address=self.address, reason=reason) from error
                except ConnectionError as error:
                    raise ExecutionError("cluster_silent", address=self.address) from error
        self._check_versions(context)

    def _ping(self) -> None:
        """Ask the head whether it is a Ray cluster's, and whether it takes this machine's token.

        Raises:
            ExecutionError: it does not.
        """
        import grpc
        from ray._private.grpc_utils import init_grpc_channel
        from ray.core.generated.ray_client_pb2_grpc import RayletDriverStub

        messages: Any = import_module("ray.core.generated.ray_client_pb2")  # which makes its classes at run time
        channel: Any = init_grpc_channel(self.address.removeprefix("ray://"))
        try:
            request = messages.ClusterInfoRequest(type=messages.ClusterInfoType.PING)
            RayletDriverStub(channel).ClusterInfo(request, timeout=RESPOND_S, wait_for_ready=True)
        except grpc.RpcError as error:
            is_refused = error.code() == grpc.StatusCode.UNAUTHENTICATED
            raise ExecutionError("cluster_refused" if is_refused else "cluster_silent", address=self.address) from error
        finally:
            channel.close()

    def _check_versions(self, context: Any) -> None:
        import ray

        found = [f"Ray {context.ray_version}", f"Python {_minor(context.python_version)}"]
        expected = [f"Ray {ray.__version__}", f"Python {_minor(platform.python_version())}"]
        if found != expected:
            self.close()
            raise ExecutionError("cluster_versions", address=self.address, found=found, expected=expected)


def _minor(version: str) -> str:
    """`3.11` of `3.11.7`: other ones can read each other's objects."""
    return ".".join(version.split(".")[:2])


def _address_of(where: str) -> str:
    """`where` with its port; for `ray` the cluster that was started on this machine."""
    if where == "ray":
        where = f"ray://{_head_of_this_machine()}"
    try:
        parts = urlsplit(where)
        host, port = parts.hostname, CLIENT_PORT if parts.port is None else parts.port
        (host or "").encode("idna")
    except ValueError:  # also of a name that no host can have
        host = None
    if not host or not port or parts.path or parts.query or parts.fragment or "@" in parts.netloc:
        raise ExecutionError("executor_unknown", value=where)
    return f"ray://[{host}]:{port}" if ":" in host else f"ray://{host}:{port}"


def _head_of_this_machine() -> str:
    """The host of the cluster that `ray start --head` notes in Ray's folder."""
    folder = Path(os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR") or "/tmp") / "ray"
    try:
        return (folder / "ray_current_cluster").read_text("ascii").strip().rpartition(":")[0]
    except (OSError, ValueError):
        raise ExecutionError("cluster_not_here") from None


def _check_reachable(address: str) -> None:
    """Try the port, which responds at once where Ray would wait for half a minute."""
    parts = urlsplit(address)
    try:
        socket.create_connection((parts.hostname, parts.port), timeout=REACH_S).close()
    except OSError as error:
        raise ExecutionError("cluster_unreachable", address=address, reason=reason_of(error)) from error


@contextmanager
def _quiet_ray() -> Iterator[None]:
    """Import Ray and connect without its log, its reports of usage, and its own check of versions."""
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_AUTO_CONNECT": "0"}  # or a call starts a cluster here
    if not os.environ.get("RAY_AUTH_MODE"):
        os.environ["RAY_AUTH_MODE"] = "token" if _has_token() else "disabled"
    before = os.environ.get("RAY_IGNORE_VERSION_MISMATCH")
    os.environ["RAY_IGNORE_VERSION_MISMATCH"] = "1"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Ray's advice on connections; the messages have their own
            yield
    finally:
        if before is None:
            del os.environ["RAY_IGNORE_VERSION_MISMATCH"]
        else:
            os.environ["RAY_IGNORE_VERSION_MISMATCH"] = before


def _has_token() -> bool:
    """Whether this machine holds a token, at the places where Ray looks for one."""
    named = os.environ.get("RAY_AUTH_TOKEN") or os.environ.get("RAY_AUTH_TOKEN_PATH")
    return bool(named) or (Path.home() / ".ray" / "auth_token").is_file()
