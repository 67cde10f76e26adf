"""llama.cpp's server in a process of its own, started by engine.py. `python -m bot.local.llama_server -h`."""

import argparse
import os
import sys
import time
from pathlib import Path

import xllamacpp

PARENT_POLL_SECONDS = 0.5
ERRORS = 1
"""llama.cpp's verbosity at which nothing of a request is logged; its warnings quote malformed ones."""

PROMPT_CACHE_MIB = 256
"""Memory for the processed prompts of idle conversations; llama.cpp's own default is 8 GiB."""


def main() -> None:
    parser = argparse.ArgumentParser(description="Serves a GGUF file over HTTP on 127.0.0.1.")
    parser.add_argument("model_path")
    parser.add_argument("--port", type=int, required=True)
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
    print(f"Serving {options.model_path} on {server.listening_address}.", flush=True)
    while os.getppid() == options.parent_pid:
        time.sleep(PARENT_POLL_SECONDS)
    os._exit(0)  # leaving in order would wait for the answers that are being written


def _server_options(options: argparse.Namespace) -> xllamacpp.CommonParams:
    params = xllamacpp.CommonParams()
    params.model.path = options.model_path
    params.model_alias = {Path(options.model_path).stem}
    params.hostnames = ["127.0.0.1"]
    params.port = options.port
    params.reuse_port = True  # engine.py holds the port, so that nobody takes it while this server restarts
    params.n_parallel = options.slots
    params.n_ctx = options.slots * options.context_tokens_per_slot
    params.cpuparams.n_threads = options.threads
    params.cpuparams_batch.n_threads = options.threads
    params.cache_ram_mib = PROMPT_CACHE_MIB
    params.endpoint_metrics = True
    params.endpoint_slots = False  # it would show what is being asked
    params.ui = False
    params.cors_origins = ""  # no web page of elsewhere may use it through its reader's browser
    params.verbosity = ERRORS
    return params


if __name__ == "__main__":
    main()
