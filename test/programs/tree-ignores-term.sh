# A leader, a child and a child with a grandchild, all of which ignore SIGTERM.
exec 9>"$WITNESS"
trap '' TERM
sleep 1000 &
echo "alive $! child" >&9
sh -c 'sleep 1000 & echo "alive $! grandchild" >&9; exec sleep 1000' &
echo "alive $! middle" >&9
echo "alive $$ leader" >&9
exec sleep 1000
