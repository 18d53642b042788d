"""Links of a page: to files of the results, and to runs on an MLflow server."""

import os
from pathlib import Path
from urllib.parse import quote, urlsplit


class Links:
    """Links from a page in the folder `page`; tracking_uri: of MLflow's store, which has pages if it is a server."""

    def __init__(self, page: Path, tracking_uri: str = "") -> None:
        self.page = page
        self.server = server_page(tracking_uri)

    def to(self, path: Path) -> str:
        """Relative link to a file or folder."""
        return quote(Path(os.path.relpath(path, self.page)).as_posix())

    def run(self, run_id: object) -> str:
        """Link to a run's page; '' without a server or a run."""
        return f"{self.server}/#/runs/{run_id}" if self.server and run_id else ""


def server_page(tracking_uri: str) -> str:
    """Address of an MLflow server without name and password; '' for any other store."""
    parts = urlsplit(tracking_uri)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return ""
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}"
