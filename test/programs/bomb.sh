# A bounded fork bomb: each process starts two more, to a depth, and stays. None of them heeds SIGTERM.
trap '' TERM
exec 9>>"$WITNESS"
echo "alive $$ bomb-$1" >&9
if [ "$1" -gt 0 ]; then
  sh "$0" $(($1 - 1)) &
  sh "$0" $(($1 - 1)) &
fi
exec sleep 1000
