# Has a child in a group of its own, in the same session: timeout(1) makes one for itself.
exec 9>"$WITNESS"
timeout 1000 sh -c 'echo "alive $$ in-own-group" >&9; exec sleep 1000' &
echo "alive $! timeout" >&9
echo "alive $$ leader" >&9
exec sleep 1000
