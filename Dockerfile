# syntax=docker/dockerfile:1
FROM python:3.13-slim-bookworm AS build
WORKDIR /src
RUN pip install --no-cache-dir "uv>=0.9,<1"
COPY requirements/runtime.txt requirements/runtime.txt
RUN uv venv /opt/mesh && VIRTUAL_ENV=/opt/mesh uv pip sync --require-hashes requirements/runtime.txt
COPY pyproject.toml README.md LICENSE ./
COPY mesh_gateway mesh_gateway
RUN VIRTUAL_ENV=/opt/mesh uv pip install --no-deps --compile-bytecode . \
 && /opt/mesh/bin/mesh-gateway version

FROM python:3.13-slim-bookworm
LABEL org.opencontainers.image.title="mesh-gateway" \
      org.opencontainers.image.description="An event mesh without Kubernetes" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN useradd --uid 10001 --no-create-home mesh && install -d -o mesh -g mesh /var/lib/mesh /etc/mesh
COPY --from=build /opt/mesh /opt/mesh
ENV PATH=/opt/mesh/bin:$PATH PYTHONUNBUFFERED=1
USER 10001
VOLUME /var/lib/mesh
EXPOSE 8080 8081
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=3s --start-period=10s CMD ["mesh-gateway", "healthcheck", "--ready"]
ENTRYPOINT ["mesh-gateway"]
CMD ["run", "-f", "/etc/mesh", "--state", "/var/lib/mesh", "--ingress", "0.0.0.0:8080"]
