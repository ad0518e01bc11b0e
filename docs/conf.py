"""The site of the documentation: `make docs` builds it into docs/_build/html, without a network."""

from __future__ import annotations

import importlib.metadata
import os

project = "qmri_bids"
author = copyright = "The qmri_bids developers"
release = version = importlib.metadata.version("qmri_bids")

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
exclude_patterns = ["_build", "**/.ipynb_checkpoints"]

# The pages are read on GitHub, too: anchors are those that it gives to headings.
myst_heading_anchors = 6

# Notebooks are kept without outputs. Each is run when the site is built, and one that fails ends the build.
nb_execution_mode = "off" if os.environ.get("QMRI_BIDS_DOCS_WITHOUT_NOTEBOOKS") else "force"
nb_execution_raise_on_error = True
nb_execution_show_tb = True
nb_execution_timeout = 600
nb_merge_streams = True

# In docstrings a word between single backticks is code.
default_role = "literal"
autodoc_member_order = "bysource"
autodoc_typehints = "none"
napoleon_google_docstring = False
napoleon_use_rtype = False

html_theme = "furo"
html_title = f"qmri_bids {release}"
html_copy_source = False

# Nothing of a page comes from another site: there are no widgets, and no formulas that would need MathJax.
nb_ipywidgets_js = {}
