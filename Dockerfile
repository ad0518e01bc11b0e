# qmri_bids as a container. docs/containers.md says how to build and run it, and on which machines.
#
#   docker build -t qmri_bids .
#   docker build -t qmri_bids:cuda --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu126 .

# Debian bookworm, of which only Python 3.11 is taken: one made by debootstrap will do.
ARG BASE=docker.io/library/debian:bookworm-slim

# hadolint ignore=DL3006
FROM ${BASE} AS python
# Versions are those of the Debian release.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends python3 \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin /var/log/apt /var/log/dpkg.log


FROM python AS requirements
WORKDIR /src
# Only these lines of pyproject.toml matter to the stage below: another edit of it leaves what is installed there alone.
COPY pyproject.toml containers/requirements.py ./
RUN python3 requirements.py > requirements.txt


FROM python AS dependencies
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends python3-venv \
 && rm -rf /var/lib/apt/lists/* \
 && python3 -m venv /opt/qmri_bids
ENV PATH=/opt/qmri_bids/bin:$PATH
WORKDIR /src
# Where torch comes from: wheels for the CPU by default, of a CUDA release if named; empty for the machine's own index.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
COPY constraints.txt ./
COPY --from=requirements /src/requirements.txt ./
RUN pip install --no-cache-dir ${TORCH_INDEX:+--extra-index-url "${TORCH_INDEX}"} \
      --constraint constraints.txt --requirement requirements.txt \
 # Headers, static libraries and protoc are for building on torch, tests for changing these libraries: nothing here does.
 && rm -rf /opt/qmri_bids/lib/python3*/site-packages/torch/include \
      /opt/qmri_bids/lib/python3*/site-packages/torch/test \
      /opt/qmri_bids/lib/python3*/site-packages/torch/bin/test_* \
      /opt/qmri_bids/lib/python3*/site-packages/torch/bin/*Test \
      /opt/qmri_bids/lib/python3*/site-packages/torch/bin/protoc* \
 && find /opt/qmri_bids/lib -type d -name tests -prune -exec rm -rf {} + \
 && find /opt/qmri_bids -name '*.a' -delete


FROM dependencies AS wheel
COPY pyproject.toml README.md LICENSE ./
COPY qmri_bids qmri_bids
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheel .


FROM python
COPY --from=dependencies /opt/qmri_bids /opt/qmri_bids
COPY --from=wheel /wheel /tmp/wheel
# Any user may come, with a home or without: nothing is looked for there, nothing is written outside the work folder.
ENV PATH=/opt/qmri_bids/bin:$PATH \
    LANG=C.UTF-8 \
    PYTHONNOUSERSITE=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    MPLBACKEND=Agg \
    NO_ET=1 \
    QMRI_BIDS_CACHES=/opt/qmri_bids/caches
RUN PYTHONDONTWRITEBYTECODE='' pip install --no-cache-dir --no-deps --no-index /tmp/wheel/*.whl \
 && rm -rf /tmp/wheel
# The image is checked before it exists, and brings compiled kernels and the list of fonts.
COPY containers/check_image.py containers/fill_caches.py /opt/qmri_bids/share/
RUN python /opt/qmri_bids/share/check_image.py \
 && python /opt/qmri_bids/share/fill_caches.py /opt/qmri_bids/caches

ARG VERSION=0.1.0
ARG REVISION=unknown
ENV QMRI_BIDS_DOCKER_TAG=$VERSION
LABEL org.opencontainers.image.title="qmri_bids" \
      org.opencontainers.image.description="BIDS App for quantitative MRI: phase-cycled bSSFP, B1, CEST and MT scans in, maps with uncertainty and a report out" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.vendor="The qmri_bids developers" \
      org.opencontainers.image.base.name="docker.io/library/debian:bookworm-slim"

# ./work, the default folder of intermediate results, can be made here by any user.
WORKDIR /tmp
ENTRYPOINT ["/opt/qmri_bids/bin/qmri_bids"]
CMD ["--help"]
