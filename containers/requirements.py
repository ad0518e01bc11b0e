"""Print what the image installs before the source is copied, one a line: what pyproject.toml requires, and the validator."""

import tomllib
from pathlib import Path

project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
print("\n".join([*project["dependencies"], *project["optional-dependencies"]["validator"]]))
