"""The sim as a process: started, stopped, refused, over TLS."""

import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path

import pytest
import trustme
from click.testing import CliRunner

from penstock.sim.command import command
from penstock.sim.process import running
from penstock.sim.truth import wait_for

from .raw import PATIENCE, ask, connect, read, request


def test_a_script_given_as_text_and_a_truth_path(tmp_path: Path) -> None:
    truth = tmp_path / "truth.jsonl"
    with running('[[cue]]\nprompt = "hi"\nstatus = 500\ntimes = 1\n[[cue]]\ntext = "from the script"\n', truth) as sim:
        assert sim.url == f"http://127.0.0.1:{sim.port}"
        assert [ask(sim.port, prompt="hi").status for _ in range(2)] == [500, 200]
        assert ask(sim.port, prompt="else").text == "from the script"
        assert ask(sim.port, {"text": "inline wins"}, prompt="else").text == "inline wins"
    assert len(wait_for(truth, lambda found: found.ends)) == 4


def test_without_a_truth_file_nothing_is_written() -> None:
    with running(truth=False) as sim:
        assert ask(sim.port, {"tokens": 3}).ended == "chunked"
        assert not sim.truth_path.exists()


def test_the_same_seed_says_the_same() -> None:
    def said(seed: int) -> str:
        with running(seed=seed) as sim:
            return ask(sim.port, {"tokens": 10}).text

    assert said(3) == said(3) != said(4)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_0_and_the_truth_is_whole(tmp_path: Path, number: int) -> None:
    truth = tmp_path / "truth.jsonl"
    line = [sys.executable, "-m", "penstock.sim", "--port", "0", "--truth", str(truth)]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline().rpartition(":")[2])
        with connect(port) as sock:
            sock.sendall(request({"text": "a b", "stall_after": 1}, prompt="stopped"))
            got = b""
            while b'"a"' not in got:
                got += sock.recv(4096)
            process.send_signal(number)
            assert process.wait(PATIENCE) == 0
        assert process.stdout.read() == ""
        assert process.stderr is not None
        assert process.stderr.read() == ""
    end = wait_for(truth, lambda found: found.answer("stopped"))
    assert (end.ended, end.text) == ("shutdown", ["a"])
    assert wait_for(truth, lambda found: found.closed(during=end.id))[0].by == "sim"


def test_a_taken_port_and_a_wrong_script_are_told() -> None:
    with running() as sim, pytest.raises(RuntimeError, match="cannot listen on"), running(port=sim.port):
        pass
    with pytest.raises(RuntimeError, match="unknown field `colour`"), running("[[cue]]\ncolour = 1\n"):
        pass


@pytest.mark.parametrize("host", ["127.9.9.999", "é..", "[::1]"])
def test_a_host_that_is_none_is_told(host: str) -> None:
    found = CliRunner().invoke(command, ["--port", "0", "--host", host])
    assert found.exit_code == 1
    assert found.output.startswith(f"Error: cannot listen on {host}:0: ")
    assert found.output.count("\n") == 1


def test_the_process_ends_with_the_context() -> None:
    with running() as sim:
        os.kill(sim.pid, 0)
    with pytest.raises(ProcessLookupError):
        os.kill(sim.pid, 0)


def test_over_tls(tmp_path: Path) -> None:
    authority = trustme.CA()
    leaf = authority.issue_cert("localhost")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    leaf.cert_chain_pems[0].write_to_path(str(cert))
    leaf.private_key_pem.write_to_path(str(key))
    context = ssl.create_default_context()
    authority.configure_trust(context)
    with running(tls=(cert, key)) as sim:
        assert sim.url.startswith("https://")
        with context.wrap_socket(connect(sim.port), server_hostname="localhost") as sock:
            sock.sendall(request({"tokens": 50, "unicode": True}, prompt="secret"))
            reply = read(sock)
            assert reply.ended == "chunked"
            sock.sendall(request({"text": "a b c", "cut_after": 1, "cut": "reset"}, prompt="cut"))
            # Looked at below TLS: Python's ssl shows an RST as a missing end.
            with socket.socket(fileno=os.dup(sock.fileno())) as below:
                below.settimeout(PATIENCE)
                with pytest.raises(ConnectionResetError):
                    [*iter(lambda: below.recv(4096), b"")]
        assert wait_for(sim.truth_path, lambda truth: truth.answer("secret")).text == [reply.text]


def test_the_cues_are_listed() -> None:
    ran = CliRunner().invoke(command, ["--cues"])
    assert ran.exit_code == 0
    assert "| `stall_after`" in ran.output


def test_a_key_without_a_certificate_is_refused() -> None:
    ran = CliRunner().invoke(command, ["--port", "0", "--tls-key", "k.pem"])
    assert (ran.exit_code, "go together" in ran.output) == (2, True)


def test_many_streams_at_once() -> None:
    with running(truth=False) as sim:
        socks = [connect(sim.port) for _ in range(300)]
        try:
            for number, sock in enumerate(socks):
                sock.sendall(request({"tokens": 20, "pace": 0.005, "seed": number}))
            began = time.monotonic()
            replies = [read(sock) for sock in socks]
        finally:
            for sock in socks:
                sock.close()
    assert {reply.ended for reply in replies} == {"chunked"}
    assert len({reply.text for reply in replies}) == 300
    assert time.monotonic() - began < 30
