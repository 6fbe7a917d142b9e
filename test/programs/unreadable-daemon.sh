# Starts a daemon in its own session whose program is executable but not readable.
exec 9>>"$WITNESS"
setsid -f sh -c 'echo "alive $$ unreadable" >&9; exec "$UNREADABLE_SLEEP" 1000'
echo "alive $$ leader" >&9
exec sleep 1000
