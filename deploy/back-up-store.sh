#!/bin/sh
# Copies the append-only files of a store that runs: back-up-store.sh STORE_FOLDER NEW_FOLDER.
#
# A server that writes its file anew (Dolly asks for it whenever something is forgotten) replaces the files meanwhile; their
# manifest then differs before and after, and all is copied once more. It asks the server nothing, so it needs no password.
set -eu

from=$1/appendonlydir
to=$2
if [ ! -d "$from" ]; then
  echo "There is no $from; does the store run with appendonly yes (Redis 7 or newer, Valkey)?" >&2
  exit 1
fi
if [ -e "$to" ]; then
  echo "$to is there already; name a new folder." >&2
  exit 1
fi
umask 077
for _ in 1 2 3 4 5 6 7 8 9 10; do
  rm -rf "$to.part"
  mkdir "$to.part"
  if cp -R "$from" "$to.part/" 2>/dev/null \
    && cmp -s "$from"/*.manifest "$to.part/appendonlydir"/*.manifest; then
    mv "$to.part" "$to"
    exit 0
  fi
  sleep 1
done
rm -rf "$to.part"
echo "The store writes its files anew without end; try again later." >&2
exit 1
