"""llama.cpp's server in a process of its own, started by engine.py. `python -m trainer.evaluation.llama_server -h`."""

import argparse
import os
import sys
import time

import xllamacpp

PARENT_POLL_SECONDS = 0.5
ERRORS = 1
"""llama.cpp's verbosity at which nothing of a request is logged."""


def main() -> None:
    parser = argparse.ArgumentParser(description="Serves a GGUF file over HTTP on 127.0.0.1, on a free port.")
    parser.add_argument("model_path")
    parser.add_argument("--slots", type=int, required=True, help="answers written at the same time")
    parser.add_argument("--context-tokens-per-slot", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--parent-pid", type=int, required=True, help="ends when this process is gone")
    options = parser.parse_args()

    # SIGTERM keeps its default, which ends the process at once: there is nothing to save.
    try:
        server = xllamacpp.Server(_server_options(options))
    except RuntimeError:
        sys.exit(f"llama.cpp cannot load {options.model_path}: is the file whole, and its kind of model known?")
    print(server.listening_address, flush=True)  # what engine.py waits for
    while os.getppid() == options.parent_pid:
        time.sleep(PARENT_POLL_SECONDS)
    os._exit(0)  # leaving in order would wait for the answers that are being written


def _server_options(options: argparse.Namespace) -> xllamacpp.CommonParams:
    params = xllamacpp.CommonParams()
    params.model.path = options.model_path
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.n_parallel = options.slots
    params.n_ctx = options.slots * options.context_tokens_per_slot
    params.cpuparams.n_threads = options.threads
    params.cpuparams_batch.n_threads = options.threads
    params.force_pure_content_parser = True  # an answer is what the model wrote, tool calls and thoughts included
    params.cache_ram_mib = 0  # no prompt comes twice
    params.ui = False
    params.verbosity = ERRORS
    return params


if __name__ == "__main__":
    main()
