# On SIGTERM, reports it, and cleans up until the file that is its first argument exists. Then exits.
exec 9>"$WITNESS"
trap 'echo asked >&9; trap "" TERM; until [ -e "$1" ]; do sleep 0.05; done; echo tidied >&9; exit 0' TERM
echo "alive $$ tidy" >&9
while :; do sleep 1000 & wait $!; done
