"""Asking whether something answers, for the supervisor and for health checks of containers."""

import http.server
import threading
from collections.abc import Iterator

import pytest

from payflow.runtime import probe
from payflow.runtime.ports import free_port


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(int(self.path.strip("/") or 404))
        self.end_headers()
        self.wfile.write(b'{"code":\n   "so_it_is"}' + b"x" * 2000)

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def url() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


class TestProbe:
    def test_is_well_with_200_only(self, url: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert probe.main([f"{url}/200"]) == 0
        for status in (204, 301, 400, 503):
            assert probe.main([f"{url}/{status}"]) == 1
        said = capsys.readouterr().out.splitlines()
        assert said[0].startswith('200 {"code": "so_it_is"}xxx')
        assert len(said[0]) < 600
        assert [line[:3] for line in said[1:]] == ["204", "301", "400", "503"]

    def test_is_well_with_any_answer_when_told_so(self, url: str) -> None:
        assert probe.main(["--any", f"{url}/404"]) == 0
        assert probe.main(["--any", url]) == 0

    def test_says_that_nobody_answers(self, capsys: pytest.CaptureFixture[str]) -> None:
        for options in ([], ["--any"]):
            assert probe.main([*options, f"http://127.0.0.1:{free_port()}/"]) == 1
        assert capsys.readouterr().out.startswith("nothing (")

    def test_asks_no_proxy(self, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
        assert probe.main([f"{url}/200"]) == 0
