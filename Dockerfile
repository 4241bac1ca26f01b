# syntax=docker/dockerfile:1
# Build arguments name the base images, so that a mirror or a digest can be given instead.
ARG GO_IMAGE=golang:1.26-bookworm
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${GO_IMAGE} AS go

FROM ${PYTHON_IMAGE} AS build
COPY --from=go /usr/local/go /usr/local/go
ENV PATH=/opt/driftd/bin:/usr/local/go/bin:$PATH \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    GOTOOLCHAIN=local
WORKDIR /src

# Layers by how often they change: dependencies, then the worker, then driftd itself.
COPY requirements/runtime.txt requirements/
RUN python -m venv /opt/driftd \
    && pip install --require-hashes --only-binary=:all: -r requirements/runtime.txt

COPY driftd/sandbox/build.py driftd/sandbox/
COPY driftd/sandbox/worker/ driftd/sandbox/worker/
RUN python driftd/sandbox/build.py

COPY pyproject.toml hatch_build.py README.md LICENSE ./
COPY driftd/ driftd/
RUN pip install --no-deps --no-build-isolation . \
    && pip uninstall --yes hatchling editables pip \
    && driftd version

FROM ${PYTHON_IMAGE}
# The distribution's current git and ssh are wanted, security updates included.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates git openssh-client \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 65532 driftd \
    && useradd --uid 65532 --gid 65532 --no-log-init --home-dir /var/lib/driftd --create-home driftd
COPY --from=build /opt/driftd /opt/driftd
ENV PATH=/opt/driftd/bin:$PATH \
    HOME=/var/lib/driftd \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
USER 65532:65532
WORKDIR /var/lib/driftd
EXPOSE 8080
ENTRYPOINT ["driftd"]
CMD ["run", "--config", "/etc/driftd/settings/driftd.yaml"]
