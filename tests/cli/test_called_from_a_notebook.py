"""Programs called from a notebook inherit its matplotlib backend, which may not be installed where they are."""

import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize("program", ["run", "tools"])
def test_the_backend_of_a_notebook_is_not_taken(program):
    code = (
        f"from qmri_bids.cli.{program} import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "import matplotlib.pyplot\nprint('drawn by', matplotlib.get_backend())"
    )
    environment = {**os.environ, "MPLBACKEND": "module://backend_of_a_notebook"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1].lower() == "drawn by agg"
