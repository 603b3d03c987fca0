"""`penstock doctor`, through a real nginx to a real server."""

from __future__ import annotations

import hashlib
import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from penstock.sim.process import running
from tests.doctor.places import GOOD, nginx
from tests.support.serving import Served, free_port, penstock, serving

COMMAND = [sys.executable, "-m", "penstock", "doctor"]


def doctor(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "PENSTOCK_KEY"} | env
    return subprocess.run(
        [*COMMAND, *arguments], capture_output=True, text=True, timeout=90, check=False, env=environment
    )


def report(*arguments: str, **env: str) -> dict[str, Any]:
    done = doctor(*arguments, "--json", **env)
    told: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == told["exit"]
    assert done.stderr == "", "progress is for terminals"
    return told


def severities(told: dict[str, Any]) -> dict[str, str]:
    return {finding["code"]: finding["severity"] for finding in told["findings"]}


def in_order(told: dict[str, Any]) -> set[str]:
    """All that was found, of which nothing is wrong; but an event may be late on a loaded machine."""
    found = severities(told)
    assert found.pop("flow", "") == "ok" or found.pop("uneven") == "note"
    assert set(found.values()) == {"ok"}
    return set(found)


def words(told: dict[str, Any], code: str) -> tuple[str, str]:
    (found,) = (finding for finding in told["findings"] if finding["code"] == code)
    return found["says"], found["do"]


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with penstock("demo", "--port", "0") as served:
        yield served


def test_nothing_between(served: Served) -> None:
    told = report(served.url, "--idle", "1")
    assert (told["exit"], told["between"]) == (0, [])
    assert in_order(told) == {"silence", "ids", "headers"}
    assert told["bursts"] > 10


def test_nginx_as_our_documentation_sets_it(served: Served) -> None:
    with nginx(served.port, GOOD) as port:
        told = report(f"http://127.0.0.1:{port}/v1", "--idle", "3")
    assert (told["exit"], told["between"]) == (0, ["nginx"])
    assert in_order(told) == {"silence", "ids", "headers"}
    assert told["seen"]["start"]["http"] == "1.1"


def test_nginx_that_buffers_and_compresses(served: Served) -> None:
    bad = "proxy_buffering on; proxy_ignore_headers X-Accel-Buffering; gzip on; gzip_types text/event-stream;"
    with nginx(served.port, f"{bad} proxy_http_version 1.1;") as port:
        told = report(f"http://127.0.0.1:{port}")
        shown = doctor(f"http://127.0.0.1:{port}")
    assert told["exit"] == 1
    found = severities(told)
    assert (found["buffered"], found["compressed"]) == ("problem", "problem")
    says, do = words(told, "buffered")
    assert says.startswith("20 events came in 1 burst, held back by up to 1.9 s")
    assert do == "nginx: `proxy_buffering off;`, and no `proxy_ignore_headers X-Accel-Buffering`."
    assert "`gzip off;`" in words(told, "compressed")[1]
    assert shown.returncode == 1
    assert "problem     20 events came in 1 burst" in shown.stdout


def test_nginx_that_only_compresses_is_told_from_one_that_buffers(served: Served) -> None:
    with nginx(served.port, f"{GOOD} gzip on; gzip_types text/event-stream;") as port:
        told = report(f"http://127.0.0.1:{port}")
    assert told["exit"] == 1
    assert {code for code, severity in severities(told).items() if severity == "problem"} == {"compressed"}


def test_nginx_that_cuts_silence(served: Served) -> None:
    with nginx(served.port, f"{GOOD} ".replace("630s", "2s")) as port:
        told = report(f"http://127.0.0.1:{port}", "--idle", "4", "--events", "10")
        short = report(f"http://127.0.0.1:{port}", "--idle", "1", "--events", "4")
    assert told["exit"] == 1
    says, do = words(told, "cut-in-silence")
    after = float(says.removeprefix("The stream was cut after ").split(" s ")[0])
    assert 1.6 <= after <= 3.5, "nginx winds its timers up again at most every 0.3 s"
    assert do.endswith("nginx: `proxy_read_timeout 630s;`.")
    assert short["exit"] == 0


def test_nginx_that_speaks_http_1_0(served: Served) -> None:
    with nginx(served.port, "proxy_http_version 1.0;") as port:
        told = report(f"http://127.0.0.1:{port}", "--events", "5")
    assert told["exit"] == 0
    says, do = words(told, "old-request")
    assert says.startswith("The request reached the server as HTTP/1.0")
    assert do == 'nginx: `proxy_http_version 1.1;` and `proxy_set_header Connection "";`.'


def test_nginx_that_takes_headers_away_and_closes(served: Served) -> None:
    with nginx(served.port, f"{GOOD} proxy_hide_header Penstock-Doctor; keepalive_timeout 0;") as port:
        told = report(f"http://127.0.0.1:{port}", "--events", "5")
    assert (severities(told)["headers"], severities(told)["close"]) == ("problem", "note")
    assert "Penstock-Doctor" in words(told, "headers")[0]


@pytest.mark.parametrize(
    ("location", "code", "says"),
    [
        ("return 200 '<html>hello</html>'; default_type text/html;", "status-200", "The answer is a web page"),
        ("return 404;", "status-404", "There is no Penstock at this address (status 404, from nginx)."),
        ("auth_basic x; auth_basic_user_file /dev/null;", "status-401", "It wants a password of its own"),
        ("return 302 https://login.example.com/;", "redirect-elsewhere", "It redirects to another place"),
    ],
)
def test_the_wrong_address(served: Served, location: str, code: str, says: str) -> None:
    with nginx(served.port, location) as port:
        told = report(f"http://127.0.0.1:{port}", "--events", "2")
    assert told["exit"] == 2
    assert words(told, code)[0].startswith(says)


def test_nginx_with_nobody_behind_it() -> None:
    with nginx(free_port(), GOOD) as port:
        told = report(f"http://127.0.0.1:{port}")
    assert told["exit"] == 2
    assert words(told, "status-502")[0].endswith("can't reach the server behind it (status 502, from nginx).")


def test_tls_and_the_way_there(served: Served, tmp_path: Path) -> None:
    ca = trustme.CA()
    issued = ca.issue_cert("localhost")
    certificate, key, root = (tmp_path / name for name in ("cert.pem", "key.pem", "ca.pem"))
    issued.private_key_pem.write_to_path(str(key))
    ca.cert_pem.write_to_path(str(root))
    for blob in issued.cert_chain_pems:
        blob.write_to_path(str(certificate), append=True)
    with nginx(served.port, GOOD, tls=(certificate, key)) as port:
        good = report(f"https://localhost:{port}", "--events", "3", SSL_CERT_FILE=str(root))
        distrusted = report(f"https://localhost:{port}", "--events", "3")
        plain = report(f"http://localhost:{port}", "--events", "3")
        moved = f"return 301 https://localhost:{port}$request_uri;"
        with nginx(served.port, moved) as old:
            redirected = report(f"http://localhost:{old}", "--events", "3", SSL_CERT_FILE=str(root))
    assert good["exit"] == 0
    assert good["seen"]["tls"]["version"].startswith("TLSv1.")
    assert good["seen"]["times"]["tls"] > 0
    assert distrusted["exit"] == plain["exit"] == 2
    assert severities(distrusted)["tls-certificate"] == "problem"
    assert words(plain, "status-400")[0] == "This port speaks TLS."
    assert (redirected["exit"], severities(redirected)["redirect"]) == (1, "problem")
    assert severities(redirected)["flow"] == "ok", "the stream was found there all the same"


def test_keys() -> None:
    digest = hashlib.sha256(b"key-a").hexdigest()
    tenant = f'[[tenant]]\nname = "a"\nkey_hashes = ["sha256:{digest}"]\n'
    with running() as sim, serving(sim, more=tenant) as served:
        arguments = (served.url, "--events", "2")
        assert report(*arguments)["findings"][0]["says"] == "The server wants a key."
        assert report(*arguments, "--key", "key-b")["findings"][0]["says"] == "The server does not know this key."
        good = report(*arguments, PENSTOCK_KEY="key-a")
        assert good["exit"] == 0
        assert "key-a" not in json.dumps(good)


def test_nobody_there() -> None:
    done = doctor(f"127.0.0.1:{free_port()}")
    assert done.returncode == 2
    assert "Nothing listens on 127.0.0.1" in done.stdout
    assert done.stdout.splitlines()[-1] == "Nothing was measured."


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("ftp://example.com",), "not an http:// or https:// address"),
        (("http://me:secret@example.com",), "the key goes into --key"),
        (("127.0.0.1:1", "--events", "0"), "--events"),
        (("127.0.0.1:1", "--events", "1000", "--pace", "1"), "300 s"),
        (("127.0.0.1:1", "--pace", "nan"), "numbers of seconds"),
        (("127.0.0.1:1", "--idle", "nan"), "numbers of seconds"),
        (("127.0.0.1:1", "--key", "a\r\nb"), "a key has no spaces"),
        ((), "URL"),
    ],
)
def test_wrong_usage(arguments: tuple[str, ...], said: str) -> None:
    done = doctor(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_progress_is_one_line_that_changes(served: Served) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, served.url, "--events", "6", "--idle", "1"], stdout=subprocess.PIPE, stderr=theirs, text=True
    )
    os.close(theirs)
    out, _ = process.communicate(timeout=60)
    shown = b""
    while True:
        try:
            data = os.read(ours, 65536)
        except OSError:  # that is how a terminal ends on Linux
            break
        if not data:
            break
        shown += data
    os.close(ours)
    lines = shown.decode().split("\r\x1b[K")
    assert "\n" not in shown.decode()
    assert "asking …" in lines
    assert "3 of 6 events, then silence (0 of 1 s) …" in lines
    assert lines[-1] == "", "it leaves nothing behind"
    assert out.splitlines()[-1] == "No problem found."
