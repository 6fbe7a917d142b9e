# Prints a line and exits; its child holds standard output open forever.
exec 9>"$WITNESS"
echo said
sleep 1000 &
echo "alive $! holds-stdout" >&9
