# syntax=docker/dockerfile:1
# Images of Mercato. `serving`: every service, the migrations and the command, without torch. `trainer`: trainings and the
# writing of the model repository. `make image` builds them; versions and hashes stand in deploy/images/locks.
# What a container runs is its arguments: docker run mercato-serving -m services.gateway
ARG PYTHON_IMAGE=docker.io/library/python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS base
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore PYTHONDONTWRITEBYTECODE=1
RUN python3.11 -m venv /opt/tools && python3.11 -m venv --without-pip /opt/venv
COPY deploy/images/locks/setup.txt deploy/images/locks/sbom.txt /locks/
RUN /opt/tools/bin/pip install --quiet --require-hashes -r /locks/sbom.txt
ENV INSTALL="/opt/tools/bin/pip --python /opt/venv/bin/python install --quiet"

# The environments change rarely; the project is laid on them last.
FROM base AS serving-environment
COPY deploy/images/locks/serving.txt /locks/
RUN ${INSTALL} --require-hashes -r /locks/serving.txt

FROM base AS trainer-environment
# `trainer`: torch with CUDA; `trainer-cpu`: without, from PyTorch's own index (PIP_EXTRA_INDEX_URL or PIP_FIND_LINKS).
ARG TRAINER_LOCK=trainer
ARG PIP_EXTRA_INDEX_URL=
ARG PIP_FIND_LINKS=
COPY deploy/images/locks/trainer.txt deploy/images/locks/trainer-cpu.txt /locks/
RUN ${INSTALL} --require-hashes -r /locks/${TRAINER_LOCK}.txt

FROM serving-environment AS serving-build
COPY pyproject.toml README.md LICENSE /app/
COPY shared /app/shared
COPY services /app/services
RUN ${INSTALL} --require-hashes -r /locks/setup.txt \
 && ${INSTALL} --no-deps --no-index --no-build-isolation --editable /app \
 && /opt/tools/bin/pip --python /opt/venv/bin/python uninstall --quiet --yes setuptools
# Everything that a service imports is there, and torch is not.
RUN /opt/venv/bin/python -c "from importlib import import_module as load, util; from shared.settings.base import DEFAULT_PORTS; \
[load(f'services.{name}.wiring') for name in DEFAULT_PORTS]; load('services.cli.app'); load('shared.postgres.__main__'); \
assert not util.find_spec('torch'), 'serving must not carry torch'" \
 && /opt/tools/bin/cyclonedx-py environment /opt/venv/bin/python --pyproject /app/pyproject.toml \
    --output-reproducible --of JSON -o /app/sbom.cdx.json \
 && /opt/venv/bin/python -m compileall -q -j 0 /opt/venv/lib /app

FROM trainer-environment AS trainer-build
COPY pyproject.toml README.md LICENSE /app/
COPY shared /app/shared
COPY services /app/services
RUN ${INSTALL} --require-hashes -r /locks/setup.txt \
 && ${INSTALL} --no-deps --no-index --no-build-isolation --editable /app
RUN /opt/venv/bin/python -c "import services.trainer.once, services.encoder.modelrepo.build, torch, onnxruntime, lightgbm" \
 && /opt/tools/bin/cyclonedx-py environment /opt/venv/bin/python --pyproject /app/pyproject.toml \
    --output-reproducible --of JSON -o /app/sbom.cdx.json \
 && /opt/venv/bin/python -m compileall -q -j 0 /app \
 && { /opt/venv/bin/python -m compileall -q -j 0 /opt/venv/lib || true; }  # torch has files for later versions of Python

FROM ${PYTHON_IMAGE} AS runtime
ARG VERSION=0.1.0
ARG REVISION=unknown
ARG SOURCE=https://mercato.example
LABEL org.opencontainers.image.title="Mercato" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN groupadd --gid 10001 mercato \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/mercato --shell /usr/sbin/nologin mercato \
 && install --directory --owner 10001 --group 10001 /var/lib/mercato
# Bytecode was written in the build; a file system that cannot be written is fine. One thread a process serves best.
ENV PATH=/opt/venv/bin:$PATH HOME=/tmp MERCATO_DATA=/var/lib/mercato \
    PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 PYTHONFAULTHANDLER=1
WORKDIR /app
VOLUME ["/var/lib/mercato"]
USER 10001:10001
STOPSIGNAL SIGTERM
# Kubernetes asks by gRPC and ignores this; the process that serves is found by what process 1 runs.
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=4 CMD ["python", "-m", "shared.server.probe"]
ENTRYPOINT ["python"]
CMD ["-m", "services.cli", "--help"]

FROM runtime AS trainer
LABEL org.opencontainers.image.description="Trainings and the model repository of Mercato, with torch"
COPY --from=trainer-build /opt/venv /opt/venv
COPY --from=trainer-build /app /app

FROM runtime AS serving
LABEL org.opencontainers.image.description="The services of Mercato, their migrations and the command"
ENV OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1
COPY --from=serving-build /opt/venv /opt/venv
COPY --from=serving-build /app /app
