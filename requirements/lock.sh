#!/bin/sh
# Resolve setup.cfg afresh in a throwaway environment and write the exact versions down. Called by `make lock`.
set -eu
env=$(mktemp -d)
trap 'rm -rf "$env"' EXIT
"$PYTHON" -m venv "$env"
pip="$env/bin/python -m pip --disable-pip-version-check --no-input"
note='# Exact versions of everything, transitive ones included; installed with --no-deps. Made by `make lock`, never by hand.'

# A build's local suffix (torch's +cpu) names a file of one index; the version is what is pinned.
frozen() { $pip freeze --exclude hil-lab --exclude setuptools --exclude wheel --exclude pip | sed 's/+cpu$//'; }

$pip install --quiet --upgrade setuptools
{ echo "$note"; echo '# What builds the editable install.'; $pip freeze --all | grep '^setuptools=='; } > requirements/build.lock

$pip install --quiet '.[mocks]'
frozen > "$env/run.txt"
{ echo "$note"; echo '# The core and the extra `mocks`: enough for `make demo`.'; cat "$env/run.txt"; } > requirements/run.lock

$pip install --quiet '.[mocks,test]'
{ echo "$note"; echo '# On top of run.lock: the extra `test`.'; frozen | grep -vxF -f "$env/run.txt"; } > requirements/test.lock
