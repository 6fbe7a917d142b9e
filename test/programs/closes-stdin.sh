# Closes its standard input at once and lives on.
exec 9>"$WITNESS"
exec </dev/null
echo "alive $$ closes-stdin" >&9
exec sleep 1000
