"""Names of priors and losses, for a command line that must not import torch to answer `--help`; a test holds the tables to them."""

PRIOR_NAMES = ("uniform", "uniform-extended", "log-uniform")
LOSS_NAMES = ("physics", "supervised")
