"""Print the requirements of the package, one a line, from its pyproject.toml: they are installed before the source is copied."""

import tomllib
from pathlib import Path

print("\n".join(tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]))
