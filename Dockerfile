# One image for everything: `podwarden-audit proxy`, `… audit_api`, `… audit_log ingest`,
# `… audit_log migrate`.
#
# A tag can be moved, a digest cannot: this one names the image for all platforms, and the tag
# before it is for people. docs/deploy.md says where it comes from and how to take a newer one.
ARG PYTHON_IMAGE=python:3.13.15-slim-trixie@sha256:9d2e5553305c7c7b0097999bb17187c69b921ccd6bc9d40e4bb5ebe652c00285

FROM ${PYTHON_IMAGE} AS build
COPY requirements/runtime.lock /build/
# The installer stays behind: what runs can install nothing.
RUN python3 -m venv --without-pip /opt/venv \
    && python3 -m pip --python /opt/venv/bin/python install --no-cache-dir --no-deps \
        --only-binary :all: --require-hashes --requirement /build/runtime.lock
COPY audit_log /app/audit_log
COPY proxy /app/proxy
COPY audit_api /app/audit_api
COPY deploy/__init__.py deploy/healthcheck.py /app/deploy/
# Nothing can be compiled later: the file system is read-only by then.
RUN /opt/venv/bin/python -m compileall -q /app

FROM ${PYTHON_IMAGE}
# The parent of the journal and its owner; a new volume mounted there takes both over.
RUN install -d -o 65532 -g 65532 -m 0700 /var/lib/podwarden-audit
COPY --from=build /opt/venv /opt/venv
COPY --from=build /app /app
WORKDIR /app
ENV PATH=/opt/venv/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    AUDIT_LOG_LOG_FORMAT=json \
    PROXY_HOST=0.0.0.0 \
    PROXY_OPS_HOST=0.0.0.0 \
    PROXY_JOURNAL_DIR=/var/lib/podwarden-audit/journal \
    AUDIT_API_HOST=0.0.0.0 \
    AUDIT_LOG_INGEST_OPS_HOST=0.0.0.0
USER 65532:65532
EXPOSE 8100 8108 8109 8110
HEALTHCHECK --interval=10s --timeout=5s --start-period=15s \
    CMD ["python", "-m", "deploy.healthcheck"]
ENTRYPOINT ["python", "-m"]
CMD ["proxy"]
