# arcface-mx in a container, for CPUs or for NVIDIA GPUs. recipes/gpu.md says how far this was checked.
#   docker build -t arcface-mx .
#   docker build -t arcface-mx-gpu --build-arg BUILD=gpu .
#   docker run --rm -v "$PWD:/work" arcface-mx recipe arcface_m0.50
#   docker run --rm -v "$PWD:/work" --gpus all arcface-mx-gpu doctor --gpu
# Runs and the cache are written to /work, the folder that -v mounts.
FROM python:3.11-slim-bookworm

# cpu or gpu: the extra of setup.py that brings MXNet, and for gpu NVIDIA's CUDA 11 libraries.
ARG BUILD=cpu

# What the wheels of MXNet and opencv-python need (arcface_mx/util/system_libraries.py), and g++ for --head native.
RUN apt-get update \
    && apt-get install -y --no-install-recommends libgomp1 libquadmath0 libgl1 libglib2.0-0 g++ \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /opt/arcface-mx
COPY setup.py pyproject.toml MANIFEST.in README.md LICENSE ./
COPY arcface_mx arcface_mx
COPY symbols symbols
COPY data data
COPY recipes recipes
RUN pip install --no-cache-dir ".[${BUILD},demo,detect,rendered,plots,export,tensorboard]" \
    && pip install --no-cache-dir --no-deps anny==0.6.2

# The NVIDIA Container Toolkit adds the driver's libraries for these.
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
ENV ARCFACE_MX_CACHE=/work/cache
WORKDIR /work
ENTRYPOINT ["arcface-mx"]
CMD ["doctor"]
