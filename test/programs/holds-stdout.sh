# Says something and exits; its child holds standard output for ever.
exec 9>"$WITNESS"
echo said
sleep 1000 &
echo "alive $! holds-stdout" >&9
