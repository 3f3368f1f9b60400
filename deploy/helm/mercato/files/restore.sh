#!/bin/sh
# Restores the dump FILE of the folder BACKUPS into the database MERCATO_POSTGRES_DSN, whole or not at all.
set -eu
held=$(psql --dbname="$MERCATO_POSTGRES_DSN" --no-psqlrc --tuples-only --no-align --command="
  SELECT string_agg(nspname, ', ' ORDER BY nspname) FROM pg_namespace
  WHERE nspname IN ('catalog', 'gateway', 'profile', 'support', 'trainer')")
if [ -n "$held" ]; then
  echo "refused: the database holds $held already; restore into an empty one" >&2
  exit 1
fi
if [ ! -f "$BACKUPS/$FILE" ]; then
  echo "refused: there is no dump $FILE; there are:" >&2
  ls -1 "$BACKUPS" >&2
  exit 1
fi
pg_restore --dbname="$MERCATO_POSTGRES_DSN" --no-owner --no-privileges --single-transaction --exit-on-error "$BACKUPS/$FILE"
psql --dbname="$MERCATO_POSTGRES_DSN" --no-psqlrc --quiet --command="ANALYZE"
echo "restored: $FILE"
