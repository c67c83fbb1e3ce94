# The commands, in an image without root, network ports or anything of a compiler. See docs/howto/docker.md.
# Build it from a checkout: docker build --tag megamedical:0.1.0 .
FROM python:3.12-slim-bookworm AS built

# The small build of torch, for a CPU; https://pypi.org/simple has that for GPUs.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ARG EXTRAS=universeg,benchmark,archives,video

WORKDIR /source
RUN python -m venv /opt/megamedical
ENV PATH=/opt/megamedical/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
COPY constraints.txt ./
RUN pip install --index-url "$TORCH_INDEX" --extra-index-url https://pypi.org/simple \
    "$(grep '^torch==' constraints.txt)"
COPY pyproject.toml README.md LICENSE ./
COPY manifests manifests
COPY megamedical megamedical
COPY universeg universeg
COPY benchmark benchmark
RUN pip install --constraint constraints.txt ".[$EXTRAS]"


FROM python:3.12-slim-bookworm

# libgomp: what torch and scikit-learn share work with. unar: opens RAR.
RUN apt-get update && apt-get install --yes --no-install-recommends libgomp1 unar \
    && rm -rf /var/lib/apt/lists/*
COPY --from=built /opt/megamedical /opt/megamedical
ENV PATH=/opt/megamedical/bin:$PATH PYTHONUNBUFFERED=1 HOME=/data XDG_CACHE_HOME=/data/.cache

RUN useradd --uid 1000 --no-create-home --home-dir /data megamedical \
    && mkdir /data && chown megamedical /data
USER megamedical
VOLUME /data
WORKDIR /data
CMD ["megamedical", "--help"]
