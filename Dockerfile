# The image of every long-running program of Panopticon: `runtime` for CPUs (the default), `gpu` for NVIDIA.
ARG PYTHON=python:3.11.14-slim-bookworm

FROM ${PYTHON} AS source
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 \
    PIP_CONSTRAINT=/source/constraints.txt PIP_BUILD_CONSTRAINT=/source/constraints.txt
WORKDIR /source
COPY . .

# TensorFlow converts the models here, and goes no further.
FROM source AS converted
RUN python -m venv /opt/convert && /opt/convert/bin/pip install '.[cpu]'
RUN for model in tagger@1 quality@1; do \
        /opt/convert/bin/python -m panopticon.engines.prepare "$model" --cache-dir=/opt/panopticon/cache || exit 1; \
    done

FROM source AS installed
RUN python -m venv /opt/panopticon/venv \
    && /opt/panopticon/venv/bin/pip install '.[raw,serve,rabbitmq,cassandra,opensearch,s3]'

FROM source AS installed-gpu
RUN python -m venv /opt/panopticon/venv \
    && /opt/panopticon/venv/bin/pip install '.[gpu,raw,serve,rabbitmq,cassandra,opensearch,s3]'

FROM ${PYTHON} AS house
RUN groupadd --gid 10001 panopticon \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin panopticon \
    && install -d -o 10001 -g 10001 /run/panopticon
ENV PATH=/opt/panopticon/venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 HOME=/tmp \
    PANOPTICON_CACHE_DIR=/opt/panopticon/cache PANOPTICON_READY_FILE=/run/panopticon/ready
COPY --from=converted /opt/panopticon/cache /opt/panopticon/cache
WORKDIR /run/panopticon
USER 10001:10001
# A worker touches its file every five seconds while it can take work: parked, hung or gone, the file is old.
HEALTHCHECK --interval=30s --timeout=5s --start-period=2m --retries=2 \
    CMD find "$PANOPTICON_READY_FILE" -mmin -1 2>/dev/null | grep -q .
ENTRYPOINT ["panopticon"]
CMD ["--help"]

FROM house AS gpu
COPY --from=installed-gpu /opt/panopticon/venv /opt/panopticon/venv

FROM house AS runtime
COPY --from=installed /opt/panopticon/venv /opt/panopticon/venv
