# Prints a line and exits; its child writes to standard output forever.
exec 9>"$WITNESS"
echo said
(while echo on; do sleep 0.1; done) &
echo "alive $! talks-on" >&9
