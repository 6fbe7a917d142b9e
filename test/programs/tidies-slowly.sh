# Says that it was asked to end, tidies up until there is a file by the name of its first argument, and then ends.
exec 9>"$WITNESS"
trap 'echo asked >&9; trap "" TERM; until [ -e "$1" ]; do sleep 0.05; done; echo tidied >&9; exit 0' TERM
echo "alive $$ tidy" >&9
while :; do sleep 1000 & wait $!; done
