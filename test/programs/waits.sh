# Waits forever, and dies of SIGTERM.
exec 9>"$WITNESS"
echo "alive $$ waits" >&9
exec sleep 1000
