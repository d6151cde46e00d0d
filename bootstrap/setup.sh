#!/bin/sh
# Makes .venv from the lock, so that everything else can run. Needs Python 3.11 or later; what else is missing and can
# be had through apt-get is installed. Whatever cannot go on says in one sentence what is missing.
set -eu

say() { printf 'setup: %s\n' "$*" >&2; }
stop() { say "$*"; exit 1; }

new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

find_python() {
    for candidate in ${PYTHON:-} python3 python3.14 python3.13 python3.12 python3.11; do
        if command -v "$candidate" >/dev/null 2>&1 && new_enough "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
    found=$(python3 --version 2>&1 || true)
    stop "Drover needs Python 3.11 or later, and there is ${found:-no Python}; install one, or name it: make setup PYTHON=/path/to/python3.12"
}

apt_install() { # package, why
    if ! command -v apt-get >/dev/null 2>&1; then
        say "$1 is missing ($2) and there is no apt-get here: install it with your own package manager"
        return 1
    fi
    as_root=
    if [ "$(id -u)" -ne 0 ]; then
        sudo -n true 2>/dev/null || { say "$1 is missing ($2): sudo apt-get install $1"; return 1; }
        as_root="sudo -n"
    fi
    say "installing $1 with apt-get ($2)"
    { $as_root apt-get update -qq && DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y -qq "$1"; } >/dev/null 2>&1 ||
        { say "apt-get could not install $1 ($2)"; return 1; }
}

make_venv() {
    [ -x .venv/bin/python ] && new_enough .venv/bin/python && .venv/bin/python -m pip --version >/dev/null 2>&1 && return
    rm -rf .venv
    if ! "$python" -m venv .venv >/dev/null 2>&1; then
        # Debian keeps the module that puts pip into an environment in a package of its own.
        version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
        apt_install "python$version-venv" "Python cannot make a virtual environment" || exit 1
        rm -rf .venv
        "$python" -m venv .venv || stop "$python cannot make a virtual environment in $(pwd)/.venv"
    fi
}

python=$(find_python) || exit 1
make_venv
say "making .venv from locks/dev.txt; the first time this takes a minute"
pip=".venv/bin/python -m pip --disable-pip-version-check --quiet"
$pip install --require-hashes -r locks/dev.txt ||
    stop "the packages of locks/dev.txt could not be installed: see above; a package index must be within reach of pip"
$pip install --no-deps --no-build-isolation -e . || stop "Drover itself could not be installed into .venv"
.venv/bin/python -c 'from bootstrap import mongo, nats_config; mongo.program(); nats_config.program()' || exit 1
command -v setpriv >/dev/null 2>&1 ||
    apt_install util-linux "setpriv lets scripts run under another account" || say "going on without setpriv"
command -v rsync >/dev/null 2>&1 || apt_install rsync "it moves files between hosts" || say "going on without rsync"
