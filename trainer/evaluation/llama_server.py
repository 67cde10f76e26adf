"""llama.cpp's server in a process of its own, started by engine.py: `python -m trainer.evaluation.llama_server -h`."""

import os
import sys
import time
from typing import Annotated

import typer
import xllamacpp

PARENT_POLL_SECONDS = 0.5
ERRORS = 1
"""llama.cpp's verbosity at which nothing of a request is logged."""


def main(
    model_path: str,
    slots: Annotated[int, typer.Option(help="Answers written at the same time.")],
    context_tokens_per_slot: Annotated[int, typer.Option()],
    threads: Annotated[int, typer.Option()],
    parent_pid: Annotated[int, typer.Option(help="It ends when this process is gone.")],
    cache_mib: Annotated[int, typer.Option(help="Memory for what prompts began with, so that it is read once.")] = 0,
    port: Annotated[int, typer.Option(envvar="DOLLY_TRAINER_PORT", help="0 takes any free one.")] = 0,
) -> None:
    """Serve a GGUF file over HTTP on 127.0.0.1."""
    params = xllamacpp.CommonParams()
    params.model.path = model_path
    params.hostnames = ["127.0.0.1"]
    params.port = port
    params.n_parallel = slots
    params.n_ctx = slots * context_tokens_per_slot
    params.cpuparams.n_threads = threads
    params.cpuparams_batch.n_threads = threads
    params.force_pure_content_parser = True  # an answer is what the model wrote, tool calls and thoughts included
    params.cache_ram_mib = cache_mib
    params.ui = False
    params.verbosity = ERRORS
    # SIGTERM keeps its default, which ends the process at once: there is nothing to save.
    try:
        server = xllamacpp.Server(params)
    except RuntimeError:
        taken = f", and port {port} free" if port else ""
        sys.exit(f"llama.cpp cannot load {model_path}: is the file whole, its kind of model known{taken}?")
    print(server.listening_address, flush=True)  # what engine.py waits for
    while os.getppid() == parent_pid:
        time.sleep(PARENT_POLL_SECONDS)
    os._exit(0)  # leaving in order would wait for the answers that are being written


if __name__ == "__main__":
    typer.run(main)
