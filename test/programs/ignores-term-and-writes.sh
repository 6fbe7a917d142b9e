# The leader dies of SIGTERM, its child ignores it. Both exist before the output.
exec 9>"$WITNESS"
(trap '' TERM; exec sh -c 'echo "alive $$ ignores-term" >&9; echo there; exec sleep 1000') &
echo "alive $$ leader" >&9
wait
