# On SIGTERM, cleans up with a command of its own, and then exits.
exec 9>"$WITNESS"
trap 'sh -c "echo tidied >&9"; exit 0' TERM
echo "alive $$ tidy" >&9
while :; do sleep 1000 & wait $!; done
