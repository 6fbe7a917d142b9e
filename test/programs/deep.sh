# Starts a chain of processes as long as the first argument says, each the child of the one before.
exec 9>"$WITNESS"
echo "alive $$ deep-$1" >&9
[ "$1" -gt 1 ] && sh "$0" $(($1 - 1))
exec sleep 1000
