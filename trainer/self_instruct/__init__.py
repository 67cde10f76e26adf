"""Instruction data that the company's own model makes, after Self-Instruct (Wang et al. 2022) and Alpaca."""
