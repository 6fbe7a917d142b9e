# Writes its pid into the pipe HELD_PIPE and sleeps.
exec 9>"$HELD_PIPE"
echo $$ >&9
exec sleep 1000
