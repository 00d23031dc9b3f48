# Shared by the scripts of this folder; sourced, not run. Expects `set -euo pipefail`.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
jobs=${LINNET_JOBS:-$(nproc)}

library_packages=(g++ cmake ninja-build ccache pkg-config libdnnl-dev libhwy-dev libfmt-dev
  nlohmann-json3-dev zlib1g-dev libpng-dev libturbojpeg0-dev libxbyak-dev)
demo_packages=(libcli11-dev dataset-fashion-mnist)
test_packages=(libgtest-dev libbenchmark-dev clang-format-16)
compiler_packages=(clang-14 clang-16)

say() { printf '\n== %s\n' "$*"; }

# Installs those of the named Debian packages that are missing. Touches nothing when all are there.
install_packages() {
  if ! command -v apt-get >/dev/null; then
    echo "No apt-get here. Linnet expects what these Debian packages contain: $*"
    return 0
  fi
  local missing=() package
  for package in "$@"; do
    if [[ $(dpkg-query -W -f '${Status}' "$package" 2>/dev/null) != *"ok installed"* ]]; then
      missing+=("$package")
    fi
  done
  if ((${#missing[@]} == 0)); then
    echo "All $# packages are installed."
    return 0
  fi

  local as_root=()
  if ((EUID != 0)); then
    if ! command -v sudo >/dev/null; then
      echo "Missing packages, and neither root nor sudo to install them. As root, run:" >&2
      echo "  apt-get install -y --no-install-recommends ${missing[*]}" >&2
      return 1
    fi
    as_root=(sudo)
  fi
  echo "Installing with apt: ${missing[*]}"
  "${as_root[@]}" apt-get update
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y --no-install-recommends "${missing[@]}"
}

summary=()

# stage NAME COMMAND…: runs the command with its output live and keeps one line about it. Returns the
# command's status.
stage() {
  local name=$1 start=$SECONDS status=0
  shift
  say "$name"
  "$@" || status=$?
  local verdict=ok
  ((status == 0)) || verdict=FAILED
  summary+=("$(printf '%-6s  %-46s %5d s' "$verdict" "$name" $((SECONDS - start)))")
  echo "${summary[-1]}"
  return "$status"
}
