# A bounded fork bomb: each process starts two more, down to a depth, and stays. All of them ignore SIGTERM.
trap '' TERM
exec 9>>"$WITNESS"
echo "alive $$ bomb-$1" >&9
if [ "$1" -gt 0 ]; then
  sh "$0" $(($1 - 1)) &
  sh "$0" $(($1 - 1)) &
fi
exec sleep 1000
