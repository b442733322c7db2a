#!/bin/sh
# tools/setup.sh run|ai|oauth|dev: the virtual environment .venv (and the link venv, which the units use)
# with exactly what requirements/run.txt, ai.txt, oauth.txt or dev.txt pins. Does nothing when that is done.
# PYTHON=/path/to/python3.12: with that Python; a .venv of another version is made anew.
set -eu
cd "$(dirname "$0")/.."
want=$1

say() { echo "$1 / $2" >&2; }

# Two of these at once (`make run` here, `make test` there) take turns.
exec 9<pyproject.toml
if command -v flock >/dev/null; then flock 9; fi

# A lock that changed, or a folder that was moved (scripts name their folder), means work again.
stamp() { { cat "requirements/$1.txt" pyproject.toml; pwd; } | cksum | tr ' ' -; }
done_for() { [ -e ".venv/.stamp-$1-$(stamp "$1")" ]; }

version_of() { "$1" -c 'import sys; print(sys.version)' 2>/dev/null; }
is_the_one_asked_for() {
  [ -z "${PYTHON:-}" ] || [ "$(version_of .venv/bin/python)" = "$(version_of "$PYTHON")" ]
}

if done_for "$want" && is_the_one_asked_for; then exit 0; fi

new_enough='import sys; sys.exit(sys.version_info < (3, 11))'
if [ -n "${PYTHON:-}" ]; then
  set -- "$PYTHON"
else
  set -- python3 python3.14 python3.13 python3.12 python3.11
fi
python=
for name in "$@"; do
  if command -v "$name" >/dev/null && "$name" -c "$new_enough"; then
    python=$name
    break
  fi
done
if [ -z "$python" ]; then
  say "Python 3.11 以上が必要です。${PYTHON:+PYTHON=$PYTHON は使えません。}" \
    "Python 3.11 or newer is needed.${PYTHON:+ PYTHON=$PYTHON cannot be used.}"
  exit 1
fi

here='import os, sys; sys.exit(os.path.realpath(sys.prefix) != os.path.realpath(".venv"))'
if ! .venv/bin/python -c "$here" 2>/dev/null || ! .venv/bin/python -c "$new_enough" ||
  ! is_the_one_asked_for; then
  if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    say "venv がありません。次を実行してください: sudo apt install python3-venv" \
      "venv is missing. Run: sudo apt install python3-venv"
    exit 1
  fi
  say "環境を作っています(.venv)…" "Making the environment (.venv) ..."
  "$python" -m venv --clear .venv
fi
[ -e venv ] || [ -L venv ] || ln -s .venv venv

say "部品を入れています(初回は1分ほど)…" "Installing the parts (about a minute the first time) ..."
rm -f ".venv/.stamp-$want-"*
if command -v uv >/dev/null; then
  uv pip install -q --python .venv/bin/python --require-hashes -r "requirements/$want.txt"
else
  .venv/bin/python -m pip install -q --disable-pip-version-check --require-hashes \
    -r "requirements/$want.txt"
fi
# The program itself, from this folder, so that .venv/bin/task-progress exists.
.venv/bin/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .

touch ".venv/.stamp-$want-$(stamp "$want")"
case $want in # each holds all of those before it, at the same versions
  dev) held="run ai oauth" ;;
  ai | oauth) held=run ;;
  *) held= ;;
esac
for name in $held; do
  rm -f ".venv/.stamp-$name-"*
  touch ".venv/.stamp-$name-$(stamp "$name")"
done
say "用意ができました。" "Ready."
