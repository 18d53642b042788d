"""One hypothesis profile: the same examples every time the same tests run, however slow the machine; no files kept."""

import tempfile

from hypothesis import settings
from hypothesis.configuration import set_hypothesis_home_dir

settings.register_profile("properties", derandomize=True, deadline=None, database=None, max_examples=200)
settings.load_profile("properties")
_CACHE = tempfile.TemporaryDirectory()  # hypothesis keeps more than its database: tables of characters, constants
set_hypothesis_home_dir(_CACHE.name)
