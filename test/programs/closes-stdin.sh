# Closes its standard input at once and goes on running.
exec 9>"$WITNESS"
exec </dev/null
echo "alive $$ closes-stdin" >&9
exec sleep 1000
