#!/usr/bin/env bash
# Writes size and sha256 of each image into its row of README.md; with --check,
# only says whether they are right.
set -euo pipefail
cd "$(dirname "$0")"
check=
if [ "${1:-}" = --check ]; then check=1; shift; fi
for image in "$@"; do
  file=images/$image.bin
  size=$(stat -c %s "$file")
  sum=$(sha256sum "$file" | cut -d' ' -f1)
  tail="| $size | \`$sum\` |"
  if [ -n "$check" ]; then
    grep -qF "$tail" README.md || { echo "README.md: row of $image is stale"; exit 1; }
  else
    sed -i -E "s@^(\| \`$image.bin\` .*\| \+0x20 )\|.*@\1$tail@" README.md
    grep -qF "$tail" README.md || { echo "README.md has no row for $image"; exit 1; }
  fi
done
