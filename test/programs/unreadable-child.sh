# Its child runs a program that may be executed and not read: /proc tells other users nothing of its environment.
exec 9>>"$WITNESS"
"$UNREADABLE_SLEEP" 1000 &
echo "alive $! unreadable" >&9
echo "alive $$ leader" >&9
exec sleep 1000
