# Writes to the file that is its first argument forever, and so does its daemon. Both ignore SIGTERM.
exec 9>"$WITNESS"
trap '' TERM
setsid -f sh -c 'echo "alive $$ daemon" >&9; while :; do echo daemon >>"$0"; done' "$1"
echo "alive $$ leader" >&9
while :; do echo leader >>"$1"; done
