"""Downloads from Google Drive by gdown, which handles the confirmation pages that Google shows before a large file."""

import re
import shutil
import textwrap
from urllib.parse import parse_qs, urlsplit

import requests

from pipeline_steps.acquisition import web
from pipeline_steps.acquisition.unfinished import MirrorError, Progress, UnfinishedFile, plain

HOSTS = {"drive.google.com", "drive.usercontent.google.com", "docs.google.com"}


def fetch(url: str, file: UnfinishedFile, retries: int) -> str:
    """Download the file, and return its hexadecimal SHA-256; gdown itself retries. Raises MirrorError."""
    import gdown

    complete = file.folder / file.destination.name
    if file.sha256 is None:  # gdown cannot tell whether the file has changed since the previous call
        shutil.rmtree(file.folder, ignore_errors=True)
    file.folder.mkdir(exist_ok=True)
    resumed = any(file.folder.iterdir())
    ids = parse_qs(urlsplit(url).query).get("id", [None])
    progress = Progress(file.destination.name)
    try:
        gdown.download(
            url=None if ids[0] else url,
            id=ids[0],
            output=str(complete),
            quiet=True,
            use_cookies=False,  # they would be stored in the home folder
            resume=True,
            progress=progress,
            timeout=(web.CONNECT_SECONDS, web.READ_SECONDS),
            retries=retries,
        )
    except requests.RequestException as error:
        raise MirrorError(web.reason(error)) from error
    except OSError:
        raise
    except Exception as error:  # gdown parses pages that Google may change, and then raises anything, such as KeyError
        raise MirrorError(_reason(error)) from error
    progress(complete.stat().st_size, complete.stat().st_size, last=True)
    return file.finish(complete, resumed)


def _reason(error: Exception) -> str:
    """gdown's message without the addresses and the advice in it."""
    inner = error.__cause__ or error.__context__
    if isinstance(inner, requests.RequestException):
        return web.reason(inner)
    known = [text for text in (inner, error) if type(text).__module__.startswith("gdown")]
    text = str(known[0]).partition("\n")[0] if known else f"gdown failed, {error!r}"
    return textwrap.shorten(plain(re.sub(r"<[^>]*>|https?://\S+", " ", text)), 160, placeholder=" ...")
