"""What each call leaves behind, however it ends: real sidecar, upstream and PostgreSQL."""

import asyncio
from datetime import UTC, datetime

import pytest

from audit_log.postgres.token_table import TokenTable
from audit_log.record import Outcome
from audit_log.tokens import hash_token
from tests.neighbours.client import connected
from tests.neighbours.services import refusing_port, running_sidecar
from tests.neighbours.sidecar import serving_sidecar
from tests.neighbours.trail import recorded
from tests.neighbours.upstream import (
    OK,
    in_pieces,
    never_responding,
    responding,
    responding_at_once,
    switching_to_echo,
)

NOT_FOUND = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n\r\n"


def asking(token="", method=b"GET", target=b"/api/v1/hosts", *fields):
    authorization = [b"Authorization: Bearer " + token.encode()] if token else []
    lines = [method + b" " + target + b" HTTP/1.1", b"Host: podwarden", *authorization, *fields]
    return b"\r\n".join(lines) + b"\r\n\r\n"


@pytest.fixture
async def token(database):
    """A token and its secret."""
    return await TokenTable(database).create("laptop", "operator", 90)


@pytest.fixture
async def secret(token):
    return token[1]


@pytest.fixture
async def sidecar(upstream, database_url):
    async with serving_sidecar(upstream.url, database_url) as service:
        yield service


async def test_a_call_leaves_who_what_when_and_how_it_ended(
    sidecar, upstream, store, token, secret
):
    before = datetime.now(UTC)
    async with connected(sidecar.port) as client:
        request = asking(
            secret, b"DELETE", b"/api/v1/hosts/%2F//x?secret=1", b"User-Agent: claude/1",
            b"X-Request-Id: r-1",
        )  # fmt: skip
        await client.ask(request)

    [record] = await recorded(store, 1)
    assert (record.token_id, record.token_name) == (token[0].id, "laptop")
    assert (record.method, record.path) == ("DELETE", "/api/v1/hosts/%2F//x")
    assert (record.status_code, record.outcome) == (200, Outcome.COMPLETED)
    assert before <= record.created_at <= datetime.now(UTC)
    assert 0 < (record.duration_ms or 0) < 20_000
    assert (record.client_ip, record.user_agent) == ("127.0.0.1", "claude/1")
    assert (record.request_id, record.instance) == ("r-1", record.instance)
    assert record.id.version == 7


async def test_a_call_with_odd_credentials_is_refused_and_recorded(
    sidecar, upstream, store, secret
):
    async with connected(sidecar.port) as client:
        for value in ("x " + secret, f'"{secret}"', f"{secret},{secret}"):
            assert (await client.ask(asking(value))).status == 400

    records = await recorded(store, 3)
    assert {(r.token_name, r.token_id, r.status_code, r.outcome) for r in records} == {
        ("Ambiguous credentials", None, 400, Outcome.REFUSED)
    }
    assert upstream.calls == []


async def test_what_carries_no_token_of_ours_or_asks_for_another_path_is_not_recorded(
    sidecar, upstream, store, secret
):
    async with connected(sidecar.port) as client:
        await client.ask(asking())
        await client.ask(asking("pwc_hub"))
        await client.ask(asking(secret, b"POST", b"/mcp", b"Content-Length: 0"))
        await client.ask(asking(secret, b"GET", b"/health"))
        await client.ask(asking(secret, b"GET", b"/api/v1/last"))

    [record] = await recorded(store, 1)
    assert record.path == "/api/v1/last"
    assert len(upstream.calls) == 5


async def test_an_upload_goes_on_after_its_token_was_looked_up(sidecar, upstream, store, secret):
    """Much of the body is here by then, and the client is paused."""
    body = b"x" * 3_000_000
    async with connected(sidecar.port) as client:
        await client.ask(asking())  # there is an idle connection to the upstream now
        head = asking(secret, b"POST", b"/api/v1/hosts", b"Content-Length: %d" % len(body))
        assert (await client.ask(head + body)).status == 200

    [record] = await recorded(store, 1)
    assert (record.status_code, record.outcome) == (200, Outcome.COMPLETED)
    assert upstream.calls[-1].request.content == body


async def test_a_path_in_disguise_is_recorded(sidecar, store, secret):
    targets = [b"/%61pi/v1", b"//api/v1", b"/x/../api/v1", b"http://podwarden/api/v1"]
    async with connected(sidecar.port) as client:
        for target in targets:
            await client.ask(asking(secret, b"GET", target))

    assert len(await recorded(store, len(targets))) == len(targets)


async def test_an_error_of_the_api_is_a_completed_call(sidecar, upstream, store, secret):
    upstream.plan(responding(NOT_FOUND))
    async with connected(sidecar.port) as client:
        await client.ask(asking(secret))

    [record] = await recorded(store, 1)
    assert (record.status_code, record.outcome) == (404, Outcome.COMPLETED)


async def test_an_unknown_token_gets_401_from_us_and_is_recorded_by_its_hash(
    sidecar, upstream, store
):
    async with connected(sidecar.port) as client:
        response = await client.ask(asking("pwm_stolen"))

    [record] = await recorded(store, 1)
    assert response.status == 401
    assert response.values(b"WWW-Authenticate") == [b'Bearer error="invalid_token"']
    assert (record.status_code, record.outcome) == (401, Outcome.REFUSED)
    assert record.token_name == f"Unknown token ({hash_token('pwm_stolen')[:8]})"
    assert record.token_id is None
    assert upstream.calls == []


async def test_a_revoked_token_gets_401_on_its_next_request(
    sidecar, upstream, store, database, token, secret
):
    async with connected(sidecar.port) as client:
        assert (await client.ask(asking(secret))).status == 200
        await TokenTable(database).revoke(token[0].id)
        # The notification is on its way; the poll every few seconds stands behind it.
        async with asyncio.timeout(10):
            while (response := await client.ask(asking(secret))).status == 200:
                await asyncio.sleep(0.05)

    assert response.status == 401
    assert b"revoked" in response.content
    records = await recorded(store, len(upstream.calls) + 1)
    assert (records[-1].outcome, records[-1].token_name) == (Outcome.REFUSED, "laptop")


async def test_an_expired_token_gets_401(sidecar, store, database, token, secret):
    await database.execute("UPDATE mcp_tokens SET expires_at = now() - interval '1 s'")
    async with connected(sidecar.port) as client:
        response = await client.ask(asking(secret))

    [record] = await recorded(store, 1)
    assert response.status == 401
    assert b"expired" in response.content
    assert (record.outcome, record.token_id) == (Outcome.REFUSED, token[0].id)


async def test_an_invalid_token_is_the_apis_to_judge_on_other_paths(sidecar, upstream):
    async with connected(sidecar.port) as client:
        assert (await client.ask(asking("pwm_x", b"GET", b"/mcp"))).status == 200

    assert len(upstream.calls) == 1


async def test_observing_an_invalid_token_is_forwarded_and_recorded(upstream, database_url, store):
    async with (
        serving_sidecar(upstream.url, database_url, token_policy="observe") as sidecar,
        connected(sidecar.port) as client,
    ):
        assert (await client.ask(asking("pwm_x"))).status == 200

    [record] = await recorded(store, 1)
    assert (record.status_code, record.outcome) == (200, Outcome.COMPLETED)
    assert record.token_name == f"Unknown token ({hash_token('pwm_x')[:8]})"


@pytest.mark.parametrize(
    "fields",
    [
        [b"Authorization: Basic eA=="],
        [b"Authorization: Bearer pwm_other"],
    ],
)
async def test_several_authorization_fields_are_refused_and_recorded(
    fields, sidecar, upstream, store, secret
):
    async with connected(sidecar.port) as client:
        response = await client.ask(asking(secret, b"GET", b"/api/v1", *fields))

    [record] = await recorded(store, 1)
    assert response.status == 400
    assert (record.status_code, record.outcome) == (400, Outcome.REFUSED)
    assert upstream.calls == []


async def test_an_unreachable_upstream_is_502(database_url, store, secret):
    with refusing_port() as port:
        async with (
            serving_sidecar(f"http://127.0.0.1:{port}", database_url) as sidecar,
            connected(sidecar.port) as client,
        ):
            assert (await client.ask(asking(secret))).status == 502

    [record] = await recorded(store, 1)
    assert (record.status_code, record.outcome) == (502, Outcome.UPSTREAM_UNREACHABLE)


async def test_a_slow_upstream_is_504(upstream, database_url, store, secret):
    upstream.plan(never_responding)
    async with (
        serving_sidecar(upstream.url, database_url, response_timeout_seconds=0.2) as sidecar,
        connected(sidecar.port) as client,
    ):
        assert (await client.ask(asking(secret))).status == 504

    [record] = await recorded(store, 1)
    assert (record.status_code, record.outcome) == (504, Outcome.UPSTREAM_TIMED_OUT)


async def test_an_answer_that_breaks_off_keeps_its_status(sidecar, upstream, store, secret):
    upstream.plan(
        responding(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", then_close=True)
    )
    async with connected(sidecar.port) as client:
        await client.send(asking(secret))
        await client.read_to_the_end()

    [record] = await recorded(store, 1)
    assert (record.status_code, record.outcome) == (200, Outcome.UPSTREAM_BROKE_OFF)


async def test_a_client_that_hangs_up_before_the_answer_is_499(sidecar, upstream, store, secret):
    upstream.plan(never_responding)
    async with connected(sidecar.port) as client:
        await client.send(asking(secret))
        call = await upstream.entered()
        client.hang_up()
        await call.gone()

    [record] = await recorded(store, 1)
    assert (record.status_code, record.outcome) == (499, Outcome.CLIENT_CLOSED)


async def test_a_client_that_hangs_up_during_the_answer_keeps_what_it_was_sent(
    sidecar, upstream, store, secret
):
    upstream.plan(
        in_pieces(b"HTTP/1.1 206 Some\r\nContent-Length: 9\r\n\r\nhalf", asyncio.Event())
    )
    async with connected(sidecar.port) as client:
        await client.send(asking(secret))
        await client.read_until(b"half")
        client.hang_up()

    [record] = await recorded(store, 1)
    assert (record.status_code, record.outcome) == (206, Outcome.CLIENT_CLOSED)


async def test_a_client_that_hangs_up_in_its_own_body_is_499(sidecar, upstream, store, secret):
    upstream.plan(never_responding)
    async with connected(sidecar.port) as client:
        await client.send(asking(secret, b"POST", b"/api/v1", b"Content-Length: 100") + b"half")
        call = await upstream.entered()
        client.hang_up()
        await call.gone()

    [record] = await recorded(store, 1)
    assert (record.status_code, record.outcome) == (499, Outcome.CLIENT_CLOSED)


async def test_a_body_that_breaks_its_framing_is_400(sidecar, upstream, store, secret):
    upstream.plan(never_responding)
    async with connected(sidecar.port) as client:
        head = asking(secret, b"POST", b"/api/v1", b"Transfer-Encoding: chunked")
        response = await client.ask(head + b"nonsense\r\n")

    [record] = await recorded(store, 1)
    assert response.status == 400
    assert (record.status_code, record.outcome) == (400, Outcome.REFUSED)


async def test_an_answer_before_the_end_of_the_body_is_complete(sidecar, upstream, store, secret):
    upstream.plan(responding_at_once(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n"))
    async with connected(sidecar.port) as client:
        request = asking(secret, b"POST", b"/api/v1", b"Content-Length: 100000")
        assert (await client.ask(request + b"the beginning")).status == 413

    [record] = await recorded(store, 1)
    assert (record.status_code, record.outcome) == (413, Outcome.COMPLETED)


async def test_an_event_stream_is_recorded_when_it_opens(sidecar, upstream, store, secret):
    upstream.plan(in_pieces(STREAM, asyncio.Event()))
    async with connected(sidecar.port) as client:
        await client.send(asking(secret))

        [record] = await recorded(store, 1)
    assert (record.status_code, record.outcome) == (200, Outcome.STREAMING)


async def test_a_change_of_protocols_is_recorded_when_it_opens(sidecar, upstream, store, secret):
    upstream.plan(
        switching_to_echo(b"HTTP/1.1 101 Go\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n")
    )
    async with connected(sidecar.port) as client:
        fields = (b"Upgrade: x", b"Connection: Upgrade")
        await client.send(asking(secret, b"GET", b"/api/v1/terminal", *fields))

        [record] = await recorded(store, 1)
    assert (record.status_code, record.outcome) == (101, Outcome.STREAMING)


async def test_stopping_waits_for_the_call_in_flight_and_keeps_its_record(
    upstream, database_url, store, secret
):
    release = asyncio.Event()
    upstream.plan(in_pieces(release, OK))
    async with (
        running_sidecar(upstream.url, database_url) as sidecar,
        connected(sidecar.port) as client,
    ):
        await client.send(asking(secret))
        await upstream.entered()
        stopping = asyncio.create_task(sidecar.stop())
        await _refuses_connections(sidecar.port)
        release.set()
        response = await client.response()
        assert await stopping == 0

    [record] = await recorded(store, 1)
    assert response.content == b"ok"
    assert (record.status_code, record.outcome) == (200, Outcome.COMPLETED)


async def test_a_call_that_outlives_the_time_to_stop_is_interrupted(
    upstream, database_url, store, secret
):
    upstream.plan(never_responding)
    async with (
        running_sidecar(upstream.url, database_url, PROXY_STOP_SECONDS="0.3") as sidecar,
        connected(sidecar.port) as client,
    ):
        await client.send(asking(secret))
        await upstream.entered()
        assert await sidecar.stop() == 0

    [record] = await recorded(store, 1)
    assert (record.status_code, record.outcome) == (0, Outcome.INTERRUPTED)


async def test_a_path_and_a_user_agent_of_any_bytes_are_recorded_and_nothing_else_is_lost(
    sidecar, store, secret
):
    async with connected(sidecar.port) as client:
        await client.ask(asking(secret, b"GET", b"/api/%00\xff\xc3\xa9", b"User-Agent: \xfe\xff"))
        await client.ask(asking(secret, b"GET", b"/api/" + b"a" * 30_000))
        await client.ask(asking(secret, b"GET", b"/api/after"))

    odd, long, after = await recorded(store, 3)
    assert (odd.path, odd.user_agent) == ("/api/%00%FFé", "%FE%FF")
    assert len(long.path) == 2_048
    assert after.path == "/api/after"


async def test_the_client_address_is_believed_from_a_trusted_proxy_alone(
    upstream, database_url, store, secret
):
    request = asking(secret, b"GET", b"/api/v1", b"X-Forwarded-For: 198.51.100.7")
    async with (
        serving_sidecar(upstream.url, database_url) as stranger,
        serving_sidecar(upstream.url, database_url, trusted_proxies="127.0.0.0/8") as trusting,
    ):
        for sidecar in (stranger, trusting):
            async with connected(sidecar.port) as client:
                await client.ask(request)

    records = await recorded(store, 2)
    assert {record.client_ip for record in records} == {"127.0.0.1", "198.51.100.7"}


async def test_names_are_found_when_the_directory_is_back(
    upstream, database_url, store, secret, token, database
):
    await database.execute("ALTER TABLE mcp_tokens RENAME TO elsewhere")
    async with (
        serving_sidecar(upstream.url, database_url) as sidecar,
        connected(sidecar.port) as client,
    ):
        assert (await client.ask(asking(secret))).status == 200
        await database.execute("ALTER TABLE elsewhere RENAME TO mcp_tokens")

        [record] = await recorded(store, 1)
    assert (record.token_id, record.token_name) == (token[0].id, "laptop")


async def _refuses_connections(port):
    async with asyncio.timeout(10):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionRefusedError:
                return
            writer.close()
            await asyncio.sleep(0.01)
