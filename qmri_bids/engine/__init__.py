"""How Nipype executes a workflow, here and on a cluster, and what a crash meant."""
