#!/usr/bin/env bash
# Trains models/earshot-mn04 from the data folder (EARSHOT_DATA, default ../shared/data beside the checkout).
# Further arguments go to train.py. A run that was interrupted continues where it was.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
if [ -z "${EARSHOT_PYTHON:-}" ]; then
  EARSHOT_PYTHON=$here/.venv/bin/python
  if [ ! -x "$EARSHOT_PYTHON" ]; then
    python3 -m venv "$here/.venv" || { echo "training: python3 with venv is needed (Debian: python3-venv)" >&2; exit 1; }
  fi
  stamp=$here/.venv/requirements.txt
  if ! cmp -s "$here/requirements.txt" "$stamp"; then
    "$EARSHOT_PYTHON" -m pip install --quiet --requirement "$here/requirements.txt"
    cp "$here/requirements.txt" "$stamp"
  fi
fi
exec "$EARSHOT_PYTHON" "$here/train.py" "$@"
