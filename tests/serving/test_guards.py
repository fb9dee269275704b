"""Who may ask: hosts, origins, tokens, and where a server may listen."""

import logging

import pytest
from server_calls import WORDS, ask, png
from stand_in import StandIn
from test_uploads import refused

from anykeypoint.cli.serve import read_token
from anykeypoint.errors import InputError
from anykeypoint.serving.guards import check_listening

TOKEN = "a-token-of-24-characters"


@pytest.fixture(scope="module")
def guarded(serving):
    return serving(StandIn(), token=TOKEN, hosts=["keypoints.example.org"])


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("localhost:8000", True),
        ("127.0.0.1", True),
        ("[::1]:8000", True),
        ("KEYPOINTS.example.org", True),
        ("evil.example.com", False),
        ("127.0.0.1.evil.example.com", False),
        ("localhost.evil.com:80", False),
        ("", False),
    ],
)
def test_only_the_server_s_own_names_are_answered(guarded, host, allowed):
    answer = guarded.get("/healthz", headers={"host": host})
    assert answer.status_code == 200 if allowed else refused(answer, 403, "host", field="Host")


@pytest.mark.parametrize("given", ["lab.example:8443", "Lab.example", "[fd00::5]", "[fd00::5]:8000", "fd00::5"])
def test_a_name_of_the_server_may_be_given_with_its_port_or_brackets(serving, given):
    client = serving(StandIn(), hosts=[given])
    mine, other = (
        ("[fd00::5]:8000", "[fd00::6]:8000") if "fd00" in given else ("lab.example:8443", "other.example:8443")
    )
    assert client.get("/healthz", headers={"host": mine}).status_code == 200
    refused(client.get("/healthz", headers={"host": other}), 403, "'fd00::6'" if "fd00" in given else "'other.example'")


def test_the_scheme_of_a_token_may_be_in_small_letters(guarded):
    for scheme in ("bearer", "BEARER"):
        assert guarded.get("/metrics", headers={"authorization": f"{scheme} {TOKEN}"}).status_code == 200
        refused(guarded.get("/metrics", headers={"authorization": f"{scheme} {TOKEN}x"}), 401, "Bearer")


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("http://127.0.0.1", True),
        ("https://127.0.0.1", True),
        ("http://127.0.0.1:9999", False),
        ("http://evil.example.com", False),
        ("null", False),
        ("http://[", False),
        ("file://127.0.0.1", False),
    ],
)
def test_only_the_server_s_own_pages_may_ask(client, origin, allowed):
    answer = client.post("/v1/encode", files={"image": ("a", png())}, headers={"origin": origin})
    assert answer.status_code == 201 if allowed else refused(answer, 403, "may not use", field="Origin")


def test_a_token_guards_the_api_and_not_the_page(guarded):
    right = {"authorization": f"Bearer {TOKEN}"}
    assert ask(guarded, keypoints=WORDS, headers=right).status_code == 200
    for headers in ({}, {"authorization": TOKEN}, {"authorization": f"Bearer {TOKEN}x"}, {"authorization": "Bearer é"}):
        headers = {name: value.encode("latin-1") for name, value in headers.items()}
        for answer in (ask(guarded, keypoints=WORDS, headers=headers), guarded.get("/metrics", headers=headers)):
            refused(answer, 401, "Authorization: Bearer")
            assert answer.headers["www-authenticate"] == "Bearer"
    assert guarded.get("/v1/categories").status_code == 401
    assert guarded.get("/metrics", headers=right).status_code == 200
    for path in ("/page/", "/healthz", "/readyz", "/openapi.json"):
        assert guarded.get(path).status_code == 200
    assert guarded.get("/openapi.json").json()["paths"]["/v1/predict"]["post"]["security"] == [{"token": []}]


def test_the_token_is_compared_in_constant_time(guarded, monkeypatch):
    compared = []
    monkeypatch.setattr("hmac.compare_digest", lambda *pair: compared.append(pair) or False)
    guarded.get("/v1/categories", headers={"authorization": f"Bearer {TOKEN}"})
    assert compared == [(f"Bearer {TOKEN}".encode(), f"Bearer {TOKEN}".encode())]


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org", ""])
def test_nobody_else_is_let_in_without_a_token(host):
    with pytest.raises(InputError, match="token"):
        check_listening(host, None)
    check_listening(host, TOKEN)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.0.1", "::1", "localhost"])
def test_this_machine_needs_none(host):
    check_listening(host, None)


@pytest.mark.parametrize(
    "token", ["", "short", "a" * 15, "with a blank in the middle", "ümlaut-ümlaut-ümlaut", "a" * 20 + "\n"]
)
def test_a_token_must_be_hard_to_guess_and_fit_a_header(token):
    with pytest.raises(InputError, match="16 or more"):
        check_listening("127.0.0.1", token)


def test_a_token_comes_from_a_file_or_the_environment(tmp_path, monkeypatch):
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    monkeypatch.setenv("ANYKEYPOINT_TOKEN", "from-the-environment")
    assert read_token(tmp_path / "token") == TOKEN and read_token(None) == "from-the-environment"
    (tmp_path / "empty").write_text("\n")
    for path in (tmp_path / "empty", tmp_path / "missing", tmp_path):
        with pytest.raises(InputError, match="token file"):
            read_token(path)


def test_the_log_names_requests_and_holds_nothing_of_what_they_bring(serving, caplog):
    caplog.set_level(logging.DEBUG)
    client = serving(StandIn())
    answers = [ask(client, keypoints="secret point"), ask(client, keypoints="bad"), ask(client, image=b"SECRETBYTES")]
    assert [answer.status_code for answer in answers] == [200, 500, 415]
    for answer in answers:
        assert answer.headers["x-request-id"] in caplog.text
    log = "".join(record.getMessage() for record in caplog.records if record.name.startswith("anykeypoint"))
    assert "secret" not in log.lower() and "PNG" not in log and "/v1/predict" in log and "RuntimeError" in caplog.text


def test_a_websocket_is_closed(client):
    from starlette.websockets import WebSocketDisconnect

    with pytest.raises(WebSocketDisconnect), client.websocket_connect("/v1/predict"):
        pass
