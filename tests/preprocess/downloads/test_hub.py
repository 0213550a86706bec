"""What a user is told of a hub that lacks what was asked for."""

import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests.conftest import ROOT


class Hub(BaseHTTPRequestHandler):
    """A hub that has one repository without the revision asked for, and no other."""

    def do_GET(self) -> None:
        known = "/me/mine/" in self.path
        self.send_response(404)
        self.send_header("X-Error-Code", "RevisionNotFound" if known else "RepoNotFound")
        self.end_headers()

    do_HEAD = do_GET  # noqa: N815 – the names are the server's

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("hub:me/mnie@main", "shows no repository me/mnie"),
        ("hub:me/mine@v9", "has no revision v9 of me/mine"),
    ],
)
def test_a_typo_in_a_hubs_name_is_told_from_a_hub_that_is_away(tmp_path: Path, source: str, reason: str) -> None:
    with HTTPServer(("127.0.0.1", 0), Hub) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        hub = f"http://127.0.0.1:{server.server_port}"
        assert f"the hub at {hub} {reason}" in laid(source, hub)
        server.shutdown()
    assert f"the hub at {hub} cannot be reached" in laid(source, hub)


def laid(source: str, hub: str) -> str:
    """What a user with this hub is told; huggingface_hub reads its address once, when it is imported."""
    program = f"import params; from pathlib import Path; from preprocess.stages import models; \
models.lay('text', params.Model(source={source!r}, sha256='0' * 64), Path('downloads'))"
    environment = os.environ | {"HF_ENDPOINT": hub, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "0"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=60)
    return done.stderr.splitlines()[-1]
