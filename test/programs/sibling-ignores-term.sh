# The leader dies of SIGTERM, its child ignores it.
exec 9>"$WITNESS"
(trap '' TERM; exec sh -c 'echo "alive $$ ignores-term" >&9; exec sleep 1000') &
echo "alive $$ leader" >&9
exec sleep 1000
