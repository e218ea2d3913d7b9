# syntax=docker/dockerfile:1
# docker build .                 Kafka and RabbitMQ         docker build --target full .   SQS as well (36 MiB of botocore)
ARG PYTHON=python:3.13-slim-bookworm

# The native parts need a compiler; what comes of it is one wheel.
FROM ${PYTHON} AS native
RUN apt-get update && apt-get install --yes --no-install-recommends gcc libc6-dev
RUN pip install --no-cache-dir "uv>=0.9,<1"
WORKDIR /src
COPY requirements/dev.txt requirements/dev.txt
COPY native native
COPY mesh_gateway mesh_gateway
COPY plugins plugins
# Cython, mypy and setuptools in the locked versions, their hashes checked.
RUN --mount=type=cache,target=/root/.cache/uv \
    uv build --wheel --build-constraints requirements/dev.txt --require-hashes --out-dir /opt/wheels native

FROM ${PYTHON} AS build
RUN pip install --no-cache-dir "uv>=0.9,<1"
ENV VIRTUAL_ENV=/opt/mesh UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy
WORKDIR /src
COPY requirements/runtime.txt requirements/runtime.txt
COPY pyproject.toml README.md LICENSE ./
COPY mesh_gateway mesh_gateway
COPY plugins plugins
# The lock as a constraint: only what is asked for is installed, in the locked versions, and their hashes are checked.
RUN --mount=type=bind,from=native,source=/opt/wheels,target=/opt/wheels \
    --mount=type=cache,target=/root/.cache/uv \
    uv venv /opt/mesh \
 && uv pip install --no-sources --constraint requirements/runtime.txt . ./plugins/kafka ./plugins/rabbitmq /opt/wheels/*.whl \
 && /opt/mesh/bin/mesh-gateway plugins list

FROM build AS build-full
RUN --mount=type=cache,target=/root/.cache/uv \
    uv pip install --no-sources --constraint requirements/runtime.txt ./plugins/sqs \
 && /opt/mesh/bin/mesh-gateway plugins list

FROM ${PYTHON} AS base
LABEL org.opencontainers.image.title="mesh-gateway" \
      org.opencontainers.image.description="An event mesh without Kubernetes" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN useradd --uid 10001 --no-create-home mesh && install -d -o mesh -g mesh /var/lib/mesh /etc/mesh
ENV PATH=/opt/mesh/bin:$PATH PYTHONUNBUFFERED=1
USER 10001
VOLUME /var/lib/mesh
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=3s --start-period=10s CMD ["mesh-gateway", "healthcheck", "--ready"]
ENTRYPOINT ["mesh-gateway"]
CMD ["run", "-f", "/etc/mesh", "--state", "/var/lib/mesh", "--ingress", "0.0.0.0:8080"]

FROM base AS full
COPY --from=build-full /opt/mesh /opt/mesh

FROM base AS mesh
COPY --from=build /opt/mesh /opt/mesh
