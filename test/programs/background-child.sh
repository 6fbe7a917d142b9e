#!/bin/sh
# A shell with a background child.
exec 9>"$WITNESS"
sleep 1000 &
echo "alive $! child" >&9
echo "alive $$ shell" >&9
wait
