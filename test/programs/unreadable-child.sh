# Its child runs a program that is executable but not readable: /proc hides its environment from other users.
exec 9>>"$WITNESS"
"$UNREADABLE_SLEEP" 1000 &
echo "alive $! unreadable" >&9
echo "alive $$ leader" >&9
exec sleep 1000
