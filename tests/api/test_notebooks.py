"""The notebooks of the documentation run, cell after cell, and what they assert holds."""

import json
import os
import sys
from pathlib import Path

import matplotlib as mpl
import pytest

NOTEBOOKS = sorted((Path(__file__).parents[2] / "docs" / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_cells_run_in_order(notebook, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    namespace = {}
    with mpl.rc_context({"backend": "agg"}):
        for number, source in enumerate(code):
            exec(compile(source, f"{notebook.name}, cell {number}", "exec"), namespace)
        import matplotlib.pyplot as plt

        plt.close("all")
    assert any("assert" in source for source in code)


def test_notebooks_are_kept_without_outputs():
    assert len(NOTEBOOKS) == 5
    for notebook in NOTEBOOKS:
        for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
            assert not cell.get("outputs")
            assert cell.get("execution_count") is None
