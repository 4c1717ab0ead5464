# One image for everything: `podwarden-audit proxy`, `… audit_api`, `… audit_log ingest`,
# `… audit_log migrate`, `… deploy.console push`. The program `podwarden-audit` with all commands is in it too:
# `docker run --entrypoint podwarden-audit podwarden-audit check`.
#
# A tag can be moved, a digest cannot: this one names the image for all platforms, and the tag
# before it is for people. docs/deploy.md says where it comes from and how to take a newer one.
ARG PYTHON_IMAGE=python:3.13.15-slim-trixie@sha256:9d2e5553305c7c7b0097999bb17187c69b921ccd6bc9d40e4bb5ebe652c00285

# Compiles the modules that each call passes (hatch_build.py); the compiler stays in this stage.
FROM ${PYTHON_IMAGE} AS wheel
# In whatever version Debian has now: nothing of it gets into the image.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*
COPY requirements/build.lock /build/
RUN python3 -m venv --without-pip /opt/build \
    && python3 -m pip --python /opt/build/bin/python install --no-cache-dir --no-deps \
        --only-binary :all: --require-hashes --requirement /build/build.lock
WORKDIR /source
COPY pyproject.toml hatch_build.py README.md LICENSE ./
COPY audit_log audit_log
COPY proxy proxy
COPY audit_api audit_api
COPY deploy deploy
RUN PODWARDEN_AUDIT_COMPILE=yes /opt/build/bin/python -m hatchling build --target wheel --directory /wheel

FROM ${PYTHON_IMAGE} AS environment
COPY requirements/runtime.lock /build/
# The installer stays behind: what runs can install nothing.
RUN python3 -m venv --without-pip /opt/venv \
    && python3 -m pip --python /opt/venv/bin/python install --no-cache-dir --no-deps \
        --only-binary :all: --require-hashes --requirement /build/runtime.lock
COPY --from=wheel /wheel /wheel
# It compiles all modules, which nothing can do later: the file system is read-only by then.
RUN python3 -m pip --python /opt/venv/bin/python install --no-cache-dir --no-deps --no-index \
        /wheel/*.whl

FROM ${PYTHON_IMAGE}
# The parent of the journal and its owner; a new volume mounted there takes both over.
RUN install -d -o 65532 -g 65532 -m 0700 /var/lib/podwarden-audit
COPY --from=environment /opt/venv /opt/venv
# Empty, and not the service's to write: `python -m` looks for modules here first.
WORKDIR /app
ENV PATH=/opt/venv/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    AUDIT_LOG_LOG_FORMAT=json \
    PROXY_HOST=0.0.0.0 \
    PROXY_OPS_HOST=0.0.0.0 \
    PROXY_JOURNAL_DIR=/var/lib/podwarden-audit/journal \
    AUDIT_API_HOST=0.0.0.0 \
    AUDIT_LOG_INGEST_OPS_HOST=0.0.0.0 \
    AUDIT_PUSH_OPS_HOST=0.0.0.0 \
    AUDIT_PUSH_DIR=/var/lib/podwarden-audit/push
USER 65532:65532
EXPOSE 8100 8108 8109 8110
HEALTHCHECK --interval=10s --timeout=5s --start-period=15s \
    CMD ["python", "-m", "deploy.healthcheck"]
# Not podwarden-audit: compose files and manifests name the modules.
ENTRYPOINT ["python", "-m"]
CMD ["proxy"]
