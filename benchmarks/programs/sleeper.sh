# Says its number into the pipe that HELD_PIPE names, and sleeps.
exec 9>"$HELD_PIPE"
echo $$ >&9
exec sleep 1000
