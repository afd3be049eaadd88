"""Fetches a table of hostile addresses in a network namespace, and says who was reached. Run by a test, as root there.

A name service and a web server listen on every address of the namespace: loopback, private ones and two that are public
elsewhere. What they see is what muslin did.
"""

import json
import os
import socket
import struct
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from hostile_addresses import PRIVATE_V4, PRIVATE_V6, PUBLIC, Hostile, hostile_addresses

from muslin.errors import FetchError
from muslin.fetching.address import parse_address
from muslin.fetching.connection import FetchLimits
from muslin.workflows.fetch import FetchOptions, fetch, plan_fetch
from photo_host import photo

A, AAAA = 1, 28
reached: set[str] = set()
connected: set[str] = set()


def set_up(folder: Path) -> None:
    """All addresses on the loopback device, and this process's name service."""

    def run(*words: str, check: bool = True) -> None:
        subprocess.run(words, check=check, capture_output=True)

    run("mount", "--make-rprivate", "/")
    run("ip", "link", "set", "lo", "up")
    for address in (*PRIVATE_V4, *PRIVATE_V6, *PUBLIC):
        run("ip", "addr", "add", f"{address}/{address.max_prefixlen}", "dev", "lo", check=False)
    for name, text in (("resolv.conf", "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n"), ("hosts", HOSTS)):
        (folder / name).write_text(text)
        run("mount", "--bind", str(folder / name), os.path.realpath(f"/etc/{name}"))


HOSTS = "127.0.0.1 localhost localhost.localdomain\n::1 ip6-localhost\n10.0.0.1 router printer.local\n"


class NameService(threading.Thread):
    """Answers each look-up of a case's host with its next answer, of the kind that was asked for."""

    def __init__(self, cases: list[Hostile]) -> None:
        super().__init__(daemon=True)
        self.left = {case.host: list(case.answers) for case in cases if case.host}
        self.last: dict[str, tuple[Any, set[int]]] = {}
        self.count = 0
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 53))

    def run(self) -> None:
        while True:
            question, client = self.socket.recvfrom(4096)
            self.socket.sendto(self.answer(question), client)

    def answer(self, question: bytes) -> bytes:
        labels, place = [], 12
        while size := question[place]:
            labels.append(question[place + 1 : place + 1 + size].decode("ascii", "replace"))
            place += size + 1
        (kind,) = struct.unpack(">H", question[place + 1 : place + 3])
        found = [address for address in self.addresses(".".join(labels).lower(), kind) if kind in (A, AAAA)]
        wanted = [each for each in found if isinstance(each, IPv4Address) == (kind == A)]
        records = b"".join(
            b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, 0, len(each.packed)) + each.packed for each in wanted
        )
        status = 0x8180 if found else 0x8183
        head = question[:2] + struct.pack(">HHHHH", status, 1, len(wanted), 0, 0)
        return head + question[12 : place + 5] + records

    def addresses(self, host: str, kind: int) -> Any:
        """One look-up asks for both kinds, so an answer stays until a kind comes again."""
        self.count += 1
        if host == "cdn.example":
            return PUBLIC
        answers = self.left.get(host)
        if not answers:
            return ()
        found, asked = self.last.get(host, (None, {A, AAAA}))
        if kind in asked:
            found, asked = (answers.pop(0) if len(answers) > 1 else answers[0]), set()
        self.last[host] = found, asked | {kind}
        return found


def serve(cases: list[Hostile], port: int) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            local = self.connection.getsockname()[0]
            reached.add(local.removeprefix("::ffff:"))
            number = self.path.strip("/").removesuffix(".jpg")
            location = cases[int(number)].location if number.isdigit() else ""
            self.send_response_only(302 if location else 200)
            if location:
                self.send_header("Location", location.encode().decode("latin-1").translate({10: None, 9: " "}))
            self.end_headers()
            self.wfile.write(b"" if location else photo(1))

        def log_message(self, format: str, *args: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        address_family = socket.AF_INET6
        daemon_threads = True
        request_queue_size = 128

    threading.Thread(target=Server(("::", port), Handler).serve_forever, daemon=True).start()


def control() -> str:
    """The address that a connection to a private one reaches, to show that it would be seen."""
    socket.create_connection(("10.0.0.1", 80), 2).sendall(b"GET /good.jpg HTTP/1.0\r\n\r\n")
    while not reached:
        threading.Event().wait(0.01)
    return reached.pop()


def main(table: Path, folder: Path, count: int) -> None:
    set_up(table.parent)
    cases = hostile_addresses(count, seed=1)
    names = NameService(cases)
    names.start()
    for port in (80, 81):
        serve(cases, port)
    seen_by_control = control()
    sys.addaudithook(note_connection)
    plan = plan_fetch(table, folder, FetchOptions(rate=1000))
    sites = set(plan.hosts)
    for case in cases:
        try:
            sites.add(parse_address(case.location).site)
        except FetchError:
            continue
    result = fetch(plan, sites, limits=FetchLimits(connect_s=1, idle_s=1, photo_s=2, retry_s=0.01))
    found = {"control": seen_by_control, "reached": sorted(reached), "connected": sorted(connected)}
    print(json.dumps({**found, "looked_up": names.count, "photos": result.photos}))


def note_connection(event: str, words: Any) -> None:
    """Python's own record of each connection that is tried."""
    if event == "socket.connect":
        connected.add(words[1][0])


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
