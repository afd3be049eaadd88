"""Which requests are let in: their host, where they come from, their token, their size and their time."""

import asyncio
import http.client
import json
import socket
import threading
import time

import pytest
from guarded_app import WAIT_S, GuardedApp, refuse, running_app, settings_of

from muslin.errors import MuslinError
from muslin.server import access
from muslin.server.access import check_access

TOKEN = "a-long-random-text"
OPEN = ("/", "/static/main.js", "/v2/health/live")


@pytest.fixture(scope="module")
def local():
    with running_app(settings_of()) as app:
        yield app


@pytest.fixture(scope="module")
def public():
    with running_app(settings_of(host="0.0.0.0", token=TOKEN, allow_hosts=("shop.example", "*.in.example"))) as app:
        yield app


def ask(app: GuardedApp, method="GET", path="/v1/predict", body=None, **headers):
    connection = http.client.HTTPConnection(app.address, timeout=WAIT_S)
    try:
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        response = connection.getresponse()
        return response.status, response.read(), response.headers
    finally:
        connection.close()


def code_of(answer, status):
    assert answer[0] == status, answer[1]
    return json.loads(answer[1])["error"]["code"]


def with_token(**headers):
    return {"Authorization": f"Bearer {TOKEN}"} | headers


@pytest.mark.parametrize(
    "host", ["evil.example", "", "10.0.0.1:8000", "localhost.evil.example", "evil@localhost", "localhost:x", "[::1"]
)
def test_a_local_server_answers_for_its_own_names_only(local, host):
    assert code_of(ask(local, Host=host), 421) == "host_unknown"


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1:9", "[::1]:8000"])
def test_a_local_server_answers_for_this_machines_names(local, host):
    assert ask(local, Host=host)[0] == 200


@pytest.mark.parametrize("host", ["10.0.0.1:8000", "[fe80::1]", "shop.example", "SHOP.example:443", "a.b.in.example"])
def test_a_public_server_answers_for_addresses_and_allowed_names(public, host):
    assert ask(public, Host=host, **with_token())[0] == 200


@pytest.mark.parametrize("host", ["evil.example", "in.example", "shop.example.evil.example", "evilin.example"])
def test_a_public_server_refuses_other_names(public, host):
    assert code_of(ask(public, Host=host, **with_token()), 421) == "host_unknown"


def test_health_is_told_without_a_host_or_a_token(public):
    with connect(public) as connection:
        connection.sendall(b"GET /v2/health/live HTTP/1.0\r\n\r\n")
        assert connection.recv(12).endswith(b" 200")


def test_pages_of_other_sites_send_nothing(local):
    for headers in ({"Origin": "http://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"},
                    {"Sec-Fetch-Site": "same-site"}, {"Origin": "http://localhost:3000"}):  # fmt: skip
        for method in ("GET", "POST", "OPTIONS"):
            status, content, answered = ask(local, method, **headers)
            assert code_of((status, content), 403) == "origin_foreign"
            assert not [name for name in answered if name.lower().startswith("access-control")]


def test_the_servers_own_page_and_links_to_it_are_let_in(local):
    assert ask(local, "POST", Origin=f"http://{local.address}", Sec_Fetch_Site="same-origin")[0] == 200
    assert ask(local, "POST", Origin="https://localhost", Host="localhost")[0] == 200  # encrypted by a proxy
    assert ask(local, path="/", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="navigate")[0] == 200


@pytest.mark.parametrize(
    "authorization", [None, "", "Bearer", "Bearer wrong", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}x", "Bearer é"]
)
def test_without_the_token_nothing_of_the_models_is_told(public, authorization):
    headers = {} if authorization is None else {"Authorization": authorization.encode("utf-8")}
    code = "token_wrong" if (authorization or "").startswith("Bearer ") else "token_missing"
    for method, path in (("POST", "/v1/predict"), ("GET", "/v1/models/m"), ("GET", "/metrics"), ("GET", "/nowhere"),
                         ("GET", "/staticky"), ("POST", "/v1/models/m")):  # fmt: skip
        answer = ask(public, method, path, **headers)
        assert code_of(answer, 401) == code
        assert answer[2]["www-authenticate"] == "Bearer"
    for path in OPEN:
        assert ask(public, path=path, **headers)[0] == 200


def test_the_token_is_taken_once_and_in_any_case_of_its_scheme(public):
    assert ask(public, Authorization=f"bearer {TOKEN}")[0] == 200
    with connect(public) as connection:
        header = f"Authorization: Bearer {TOKEN}\r\n".encode()
        connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n" + 2 * header + b"\r\n")
        assert connection.recv(12).endswith(b" 401")


def test_every_response_tells_browsers_to_do_nothing_with_it(local):
    for path in ("/", "/static/main.js", "/v1/predict", "/nowhere", "/v2/health/live"):
        headers = ask(local, path=path)[2]
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"


def test_a_body_beyond_the_limit_is_refused_unread():
    settings = settings_of(max_image_mb=0.1, max_images=1)
    with running_app(settings) as app:
        most = settings.max_request_bytes
        assert json.loads(ask(app, "POST", body=b"x" * most)[1])["bytes"] == most
        assert code_of(ask(app, "POST", body=b"x" * (most + 1)), 413) == "request_size"
        assert code_of(ask(app, "POST", body=b"x", Content_Length="9" * 18), 413) == "request_size"
        chunks = (b"x" * 50_000 for _ in range(9))
        assert code_of(ask(app, "POST", body=chunks), 413) == "request_size"
        wait_until(lambda: app.guard._held_bytes == 0)


def test_a_model_may_be_larger_than_a_request_of_images():
    with running_app(settings_of(max_image_mb=0.1, max_images=1), max_model_bytes=1_000_000) as app:
        assert ask(app, "POST", "/v1/models/m", b"x" * 900_000)[0] == 200
        assert code_of(ask(app, "POST", "/v1/models/m", b"x" * 1_000_001), 413) == "request_size"


def connect(app: GuardedApp) -> socket.socket:
    host, port = app.address.split(":")
    return socket.create_connection((host, int(port)), WAIT_S)


def begin_post(app: GuardedApp, path: str, length: int, sent: bytes) -> socket.socket:
    connection = connect(app)
    connection.sendall(f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n".encode() + sent)
    return connection


def test_one_request_too_many_is_told_to_try_again():
    with running_app(settings_of(max_requests=2)) as app:
        held = [begin_post(app, "/hold", 1, b"x") for _ in range(2)]
        wait_until(lambda: app.guard.in_flight == 2)
        answer = ask(app, "POST", body=b"x")
        assert code_of(answer, 503) == "too_many_requests"
        assert answer[2].get_all("retry-after") == ["1"]
        assert ask(app, path="/v2/health/live")[0] == 200
        assert ask(app, path="/metrics")[0] == 200
        app.released.set()
        assert all(status_of(connection) == 200 for connection in held)
        assert ask(app, "POST", body=b"x")[0] == 200
        assert app.guard.in_flight == 0


def test_a_request_that_is_not_answered_in_time_is_told_so():
    with running_app(settings_of(request_s=0.2)) as app:
        answer = ask(app, "POST", "/hold", b"x")
        assert code_of(answer, 503) == "request_unanswered"
        assert answer[2]["retry-after"] == "1"
        assert app.guard.in_flight == 0


def test_a_body_that_does_not_come_in_time_is_refused():
    with running_app(settings_of(request_s=0.2)) as app, begin_post(app, "/v1/predict", 10, b"x") as connection:
        assert connection.recv(12).endswith(b" 408")


def test_slow_bodies_do_not_keep_out_others(monkeypatch):
    monkeypatch.setattr(access, "MAX_BODIES_BYTES", 250_000)
    with running_app(settings_of()) as app:
        small = begin_post(app, "/v1/predict", 10, b"x")  # older, but it costs nothing
        wait_until(lambda: app.guard._held_bytes == 1)
        slow = []
        for held in (90_001, 180_001):
            slow.append(begin_post(app, "/v1/predict", 100_000, b"x" * 90_000))
            wait_until(lambda held=held: app.guard._held_bytes == held)
        assert json.loads(ask(app, "POST", body=b"x" * 100_000)[1])["bytes"] == 100_000
        slow[1].sendall(b"x" * 10_000)
        assert [status_of(connection) for connection in slow] == [503, 200]  # the one that was slow for longest goes
        small.sendall(b"x" * 9)
        assert status_of(small) == 200
        wait_until(lambda: app.guard._held_bytes == 0)


def test_a_late_request_that_still_ends_keeps_out_no_other(monkeypatch):
    monkeypatch.setattr(access, "MAX_BODIES_BYTES", 100)

    async def app(scope, receive, send):
        try:
            while (await receive())["more_body"]:
                pass
        except asyncio.CancelledError:
            ending.set()
            await go_on.wait()  # as where a thread ends its work first
            raise
        await send({"type": "http.response.start", "status": 200})

    async def answer(guard, *bodies):
        events = [{"type": "http.request", "body": body, "more_body": body is not bodies[-1]} for body in bodies]
        sent = []

        async def receive():
            await asyncio.sleep(0 if events[0]["body"] else WAIT_S)  # an empty piece does not come
            return events.pop(0)

        async def send(event):
            sent.append(event)

        scope = {"type": "http", "method": "POST", "path": "/v1/predict", "root_path": "", "scheme": "http"}
        await guard(scope | {"headers": [(b"host", b"localhost")], "client": ("127.0.0.1", 1)}, receive, send)
        return sent[0]["status"]

    async def both():
        guard = access.AccessGuard(app, settings_of(request_s=0.1), refuse)
        late = asyncio.create_task(answer(guard, b"x" * 80, b""))
        await ending.wait()
        other = await answer(guard, b"x" * 90)
        go_on.set()
        return other, await late

    ending, go_on = asyncio.Event(), asyncio.Event()
    assert asyncio.run(both()) == (200, 408)


def test_forwarded_headers_count_from_trusted_proxies_only():
    forwarded = {"X-Forwarded-Host": "shop.example", "X-Forwarded-Proto": "https", "Origin": "https://shop.example"}
    with running_app(settings_of(allow_hosts=("shop.example",), trust_proxy=("127.0.0.0/8",))) as app:
        assert json.loads(ask(app, "POST", **forwarded)[1])["scheme"] == "https"
        evil = forwarded | {"X-Forwarded-Host": "evil.example", "Origin": "https://evil.example"}
        assert code_of(ask(app, "POST", **evil), 421) == "host_unknown"
    with running_app(settings_of(allow_hosts=("shop.example",), trust_proxy=("10.0.0.1",))) as app:
        assert code_of(ask(app, "POST", **forwarded), 403) == "origin_foreign"
        del forwarded["Origin"]
        assert json.loads(ask(app, "POST", **forwarded)[1])["scheme"] == "http"


def test_a_path_prefix_is_known_whether_the_proxy_takes_it_off_or_not():
    with running_app(settings_of(root_path="/muslin", trust_proxy=("127.0.0.1",), token=TOKEN)) as app:
        for path in ("/v1/predict", "/muslin/v1/predict"):
            assert json.loads(ask(app, path=path, **with_token())[1])["path"] == "/muslin/v1/predict"
            assert code_of(ask(app, path=path), 401) == "token_missing"
        assert (ask(app, path="/muslin")[0], ask(app, path="/muslin")[2]["location"]) == (308, "/muslin/")
        for path in ("/muslin/", "/muslin/static/a.js", "/"):
            assert ask(app, path=path)[0] == 200
        other = ask(app, path="/v1/predict", **with_token(X_Forwarded_Prefix="/shop"))
        assert json.loads(other[1])["path"] == "/shop/v1/predict"


@pytest.mark.parametrize(
    ("code", "values"),
    [
        ("serve_token_characters", {"token": "two words"}),
        ("serve_token_characters", {"token": "schlüssel"}),
        ("serve_root_path", {"root_path": "muslin"}),
        ("serve_root_path", {"root_path": "/muslin/"}),
        ("serve_root_path", {"root_path": "/v1/x"}),
        ("serve_host_name", {"allow_hosts": ("shop.example:80",)}),
        ("serve_host_name", {"allow_hosts": ("http://shop.example",)}),
        ("serve_proxy", {"trust_proxy": ("127.0.0.1", "nginx")}),
    ],
)
def test_settings_that_no_request_could_fit_are_refused(code, values):
    with pytest.raises(MuslinError) as error:
        check_access(settings_of(**values))
    assert error.value.code == code


def test_ordinary_settings_are_taken():
    check_access(settings_of(token=TOKEN, root_path="/a/b", allow_hosts=("*", "*.x.example", "[::1]"),
                             trust_proxy=("::1", "10.0.0.0/8")))  # fmt: skip


def test_a_client_that_leaves_holds_no_place():
    with running_app(settings_of(max_requests=1)) as app:
        half_sent = begin_post(app, "/v1/predict", 10, b"x")
        wait_until(lambda: app.guard._held_bytes == 1)
        half_sent.close()
        wait_until(lambda: app.guard._held_bytes == 0)
        unanswered = begin_post(app, "/hold", 1, b"x")
        wait_until(lambda: app.guard.in_flight == 1)
        unanswered.close()
        app.released.set()
        wait_until(lambda: app.guard.in_flight == 0 and app.guard._held_bytes == 0)
        assert ask(app, "POST", body=b"x")[0] == 200


def status_of(connection: socket.socket) -> int:
    with connection:
        return int(connection.recv(12)[-3:])


def wait_until(holds):
    waited = threading.Event()
    deadline = time.monotonic() + WAIT_S
    while not holds():
        assert time.monotonic() < deadline
        waited.wait(0.01)
