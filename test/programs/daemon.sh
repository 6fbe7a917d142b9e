# Starts a daemon that leaves its session. The command itself stays.
exec 9>"$WITNESS"
setsid -f sh -c 'echo "alive $$ daemon" >&9; exec sleep 1000'
echo "alive $$ leader" >&9
exec sleep 1000
