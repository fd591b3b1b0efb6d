"""Connections: what is written of them, and what a server gets to see."""

from __future__ import annotations

import base64
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from kronos_mixin import connect
from kronos_mixin.connect import AnswerError, ConnectError, Connection


@pytest.fixture(scope="module")
def server():
    """A server that remembers what it was asked last; the path says how it answers."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.server.asked = self
            path = self.path.partition("?")[0]
            status = {"/redirect": 302, "/forbidden": 403, "/html": 200}.get(path, 200)
            body = b"<html>Sign in</html>" if path in {"/html", "/forbidden"} else b'{"ok": true}'
            self.send_response(status)
            if status == 302:
                self.send_header("Location", "/there")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        running.url = f"http://127.0.0.1:{running.server_port}"
        yield running
        running.shutdown()


def test_a_file_of_connections(tmp_path, server):
    (tmp_path / "token").write_text("secret\n")
    (tmp_path / "tenant").write_text("quant\n")
    (tmp_path / "stack.yml").write_text(
        f"""
        prometheus:
          url: {server.url}/prometheus/
          authorization: {{credentials_file: token}}
          http_headers: {{X-Scope-OrgID: {{files: [tenant]}}, X-Plain: text}}
        rulers:
          - one:8880
          - url: https://two:8880
        alertmanager: {{url: '{server.url}', basic_auth: {{username: me, password: 'a:b'}}}}
        """
    )
    found = connect.read(tmp_path / "stack.yml")
    assert [one.url for one in found.rulers] == ["http://one:8880", "https://two:8880"]
    assert found.grafana is None
    with found.prometheus.client() as client:
        assert client.data("/api/v1/query") == {"ok": True}
    assert server.asked.path == "/prometheus/api/v1/query"
    assert server.asked.headers["Authorization"] == "Bearer secret"
    assert server.asked.headers["X-Scope-OrgID"] == "quant"
    assert server.asked.headers["X-Plain"] == "text"
    with found.alertmanager.client() as client:
        assert client.data("/redirect") == {"ok": True}
    assert server.asked.headers["Authorization"] == "Basic " + base64.b64encode(b"me:a:b").decode()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("grafana: {}", "grafana must hold a url"),
        ("loki: {url: x}", "has loki, where only prometheus, rulers"),
        ("- x", "has list, where only"),
        ("prometheus: {url: 'ftp://x'}", "prometheus: ftp://x is no address such as http://localhost:9090"),
        ("prometheus: {url: 'http://me:pass@x:0'}", r"prometheus: \.\.\.@x:0 is no address"),
        ("prometheus: {url: x, timeout: 3}", "prometheus.timeout: only authorization, basic_auth"),
        ("prometheus: {url: x, tls_config: {ca: y}}", "prometheus.tls_config.ca: only ca_file, cert_file"),
        ("prometheus: {url: x, http_headers: {A: {value: y}}}", "http_headers.A: must be a text, or hold values"),
        ("prometheus: [", "is not YAML"),
    ],
)
def test_a_file_with_a_mistake(tmp_path, text, message):
    (tmp_path / "stack.yml").write_text(text)
    with pytest.raises(ConnectError, match=message) as refused:
        connect.read(tmp_path / "stack.yml")
    assert "me:pass" not in str(refused.value)


def test_credentials_go_to_the_server_that_they_are_for():
    known = Connection.to("https://me:p%40ss@metrics:9090/a/")
    assert (known.url, known.basic_auth) == ("https://metrics:9090/a", {"username": "me", "password": "p@ss"})
    assert known.at("https://metrics:9090/b").basic_auth
    assert not known.at("https://other:9090").basic_auth


@pytest.mark.parametrize(
    ("path", "message", "status"),
    [
        ("/html", r"answers with something other than JSON \(<html>Sign in</html>\): is the address right?", None),
        ("/forbidden", r"/forbidden answers 403 Forbidden", 403),
    ],
)
def test_an_answer_that_is_none(server, path, message, status):
    with Connection(server.url).client() as client, pytest.raises(AnswerError, match=message) as refused:
        client.data(path, params={"query": "a secret"})
    assert refused.value.status == status
    assert refused.value.forbidden is (status == 403)
    assert "a+secret" not in str(refused.value)


def test_no_answer():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # Nobody listens.
        with (
            Connection(f"http://127.0.0.1:{taken.getsockname()[1]}").client() as client,
            pytest.raises(AnswerError, match="can't be reached") as refused,
        ):
            client.get("/")
    assert refused.value.status is None


def test_files_that_can_not_be_read(tmp_path):
    with pytest.raises(ConnectError, match="nowhere: No such file"):
        Connection("http://x", authorization={"credentials_file": str(tmp_path / "nowhere")}).client()
    with pytest.raises(ConnectError, match="tls_config for https://x"):
        Connection("https://x", tls_config={"ca_file": str(tmp_path / "nowhere")}).client()
