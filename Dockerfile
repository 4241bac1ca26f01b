# syntax=docker/dockerfile:1
# Build arguments name the base images, so that a mirror or a digest can be given instead.
ARG GO_IMAGE=golang:1.26-bookworm
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${GO_IMAGE} AS go

FROM ${PYTHON_IMAGE} AS build
COPY --from=go /usr/local/go /usr/local/go
ENV PATH=/opt/build/bin:/usr/local/go/bin:$PATH \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    GOTOOLCHAIN=local
WORKDIR /src

# Layers by how often they change: dependencies, then the worker, then driftd itself.
COPY requirements/runtime.txt requirements/build.txt requirements/
RUN python -m venv --without-pip /opt/driftd \
    && python -m venv /opt/build \
    && pip --python /opt/driftd/bin/python install \
        --require-hashes --only-binary=:all: -r requirements/runtime.txt \
    && pip install --require-hashes --only-binary=:all: -r requirements/build.txt

COPY driftd/sandbox/build.py driftd/sandbox/
COPY driftd/sandbox/worker/ driftd/sandbox/worker/
RUN python driftd/sandbox/build.py

COPY pyproject.toml hatch_build.py README.md LICENSE ./
COPY config/severity.yaml config/
COPY tests/fixtures/kubernetes-gitops/ tests/fixtures/kubernetes-gitops/
COPY driftd/ driftd/
RUN pip wheel --no-deps --no-build-isolation --wheel-dir /tmp/wheel . \
    && pip --python /opt/driftd/bin/python install --no-deps /tmp/wheel/*.whl \
    && /opt/driftd/bin/driftd version

# What the image's driftd consists of, of Python packages and of Go modules.
FROM build AS sbom
ENV GOBIN=/opt/build/bin
COPY requirements/sbom.txt requirements/
RUN pip install --require-hashes --only-binary=:all: -r requirements/sbom.txt \
    && go install github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.10.0
COPY deploy/sbom.sh deploy/
RUN deploy/sbom.sh /opt/driftd/bin/python /sbom

FROM ${PYTHON_IMAGE}
# The distribution's current git, gpgv and ssh are wanted, security updates included.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates git gpgv openssh-client \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 65532 driftd \
    && useradd --uid 65532 --gid 65532 --no-log-init --home-dir /var/lib/driftd --create-home driftd
COPY --from=build /opt/driftd /opt/driftd
COPY --from=sbom /sbom /usr/share/sbom/driftd
COPY LICENSE /usr/share/doc/driftd/
# Nothing is written but /var/lib/driftd (mirrors and the database) and /tmp, so the root file
# system may be read-only.
ENV PATH=/opt/driftd/bin:$PATH \
    HOME=/var/lib/driftd \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
USER 65532:65532
WORKDIR /var/lib/driftd
EXPOSE 8080
ENTRYPOINT ["driftd"]
CMD ["run", "--config", "/etc/driftd/settings/driftd.yaml"]

# Last, because they differ in each build.
ARG VERSION=0.1.0
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
LABEL org.opencontainers.image.title="driftd" \
      org.opencontainers.image.description="Drift detection and reconciliation for Kubernetes GitOps" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.documentation="README.md" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}"
