"""What the command's verbs do, one a file; no stage imports another."""
