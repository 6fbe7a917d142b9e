# A process tree stopped by SIGSTOP.
exec 9>"$WITNESS"
sleep 1000 &
echo "alive $! child" >&9
kill -STOP $!
echo "alive $$ leader" >&9
kill -STOP $$
