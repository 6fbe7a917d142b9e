# Its command line contains `setsid`. Has a child in its first group, then
# starts a session with another child in it.
exec 9>"$WITNESS"
sh -c 'echo "alive $$ before" >&9; exec sleep 1000' &
exec setsid sh -c 'sleep 1000 & echo "alive $! within" >&9; echo "alive $$ leader" >&9; wait'
