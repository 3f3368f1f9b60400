#!/bin/sh
# Dumps the database MERCATO_POSTGRES_DSN into the folder BACKUPS and keeps the newest KEEP dumps.
set -eu
name="mercato-$(date -u +%Y%m%dT%H%M%SZ).dump"
part="$BACKUPS/$name.part"
trap 'rm -f -- "$part"' EXIT
pg_dump --dbname="$MERCATO_POSTGRES_DSN" --format=custom --no-owner --no-privileges --file="$part"
pg_restore --file=/dev/null "$part" # reads it to its end
mv -- "$part" "$BACKUPS/$name"
ls -1 "$BACKUPS" | grep -E '^mercato-[0-9TZ]+\.dump$' | sort -r | tail -n "+$((KEEP + 1))" | while read -r old; do
  rm -f -- "$BACKUPS/$old"
done
echo "written: $name"
