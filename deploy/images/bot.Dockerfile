# The assistant, and who owns its engines: no torch, no compiler, nothing that runs as root.
#   docker build --file deploy/images/bot.Dockerfile --tag registry.example/dolly:0.1.0 .
FROM python:3.11.14-slim-bookworm AS build

# Such as presidio, where REDACT_NAMES is wanted; several with commas between.
ARG EXTRAS=""
WORKDIR /srv/dolly
RUN ["python", "-m", "venv", "--without-pip", "venv"]
COPY constraints.txt pyproject.toml README.md LICENSE ./
COPY bot bot
# The command of the other half is left out: that half is not in this image.
RUN --mount=type=cache,target=/root/.cache/pip \
    python -m pip --python venv/bin/python install --constraint constraints.txt ".${EXTRAS:+[$EXTRAS]}" \
    && rm venv/bin/dolly-trainer

FROM python:3.11.14-slim-bookworm

LABEL org.opencontainers.image.title="dolly" \
      org.opencontainers.image.licenses="Apache-2.0"
WORKDIR /srv/dolly
RUN ["install", "--directory", "--owner=10001", "--group=10001", "/data"]
COPY --from=build /srv/dolly/venv venv
# All that is written goes to /data and /tmp, so that the rest may be read-only.
ENV PATH=/srv/dolly/venv/bin:$PATH \
    HOME=/tmp \
    PYTHONUNBUFFERED=1 \
    DOLLY_DATA=/data \
    ADMIN_PORT=9464
USER 10001:10001
# Not by urllib, which would ask a proxy that the environment names.
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s \
    CMD ["python", "-c", "import http.client, os; c = http.client.HTTPConnection('127.0.0.1', int(os.environ['ADMIN_PORT']), timeout=4); c.request('GET', '/healthz'); raise SystemExit(c.getresponse().status != 200)"]
ENTRYPOINT ["dolly"]
CMD ["serve"]
