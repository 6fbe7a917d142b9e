# Says something and exits; its child writes to standard output for ever.
exec 9>"$WITNESS"
echo said
(while echo on; do sleep 0.1; done) &
echo "alive $! talks-on" >&9
