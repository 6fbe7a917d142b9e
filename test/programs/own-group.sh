# Has a child in its own process group but in the same session: timeout(1) creates a group.
exec 9>"$WITNESS"
timeout 1000 sh -c 'echo "alive $$ in-own-group" >&9; exec sleep 1000' &
echo "alive $! timeout" >&9
echo "alive $$ leader" >&9
exec sleep 1000
