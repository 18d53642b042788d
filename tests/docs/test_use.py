"""Commands of docs/use.md that no other test types."""

import base64
import json
import re
import shutil
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import ROOT


def test_the_request_to_a_served_model_carries_a_photograph_of_any_size(tmp_path: Path):
    """6 MB in base64: arguments of a program may have 128 kB each."""
    if shutil.which("curl") is None:
        pytest.skip("no curl here")
    told = (ROOT / "docs/use.md").read_text()
    found = re.search(r"^mlflow models serve .*?\n(.*?)^```", told, re.MULTILINE | re.DOTALL)
    assert found
    content = np.random.default_rng(0).bytes(4_500_000)
    (tmp_path / "photo.jpg").write_bytes(content)
    received: list[tuple[str, str, bytes]] = []

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.append((self.path, self.headers["Content-Type"], body))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *arguments: object) -> None:
            pass

    with HTTPServer(("localhost", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        assert "localhost:5001" in found[1]
        command = found[1].replace("localhost:5001", f"localhost:{server.server_port}")
        done = subprocess.run(["bash", "-c", command], cwd=tmp_path, text=True, capture_output=True, check=False)
        server.shutdown()
    assert done.returncode == 0, done.stderr
    ((path, kind, body),) = received
    assert (path, kind) == ("/invocations", "application/json")
    asked = json.loads(body)
    assert base64.b64decode(asked["dataframe_records"][0]["image"]) == content
    assert asked["params"] == {"whole_image": False, "flip_test": False}
