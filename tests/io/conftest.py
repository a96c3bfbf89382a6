import os
from pathlib import Path

import pytest


@pytest.fixture
def real_data() -> Path:
    folder = os.environ.get("RVAEJAX_TEST_DATA")
    if not folder:
        pytest.skip("RVAEJAX_TEST_DATA is not set")
    return Path(folder)
