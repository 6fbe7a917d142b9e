# Asks a service to start a program with this environment, starts a daemon itself, and waits.
exec 9>"$WITNESS"
setsid -f sh -c 'echo "alive $$ daemon" >&9; exec sleep 1000'
"$NODE" "${0%/*}/asks-service.mjs" 9>&-
echo "alive $$ waits" >&9
exec sleep 1000
