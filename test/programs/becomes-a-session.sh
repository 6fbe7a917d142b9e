# Is asked for by a command line that names setsid: has a child in its first group, and then begins a session with another one in it.
exec 9>"$WITNESS"
sh -c 'echo "alive $$ before" >&9; exec sleep 1000' &
exec setsid sh -c 'sleep 1000 & echo "alive $! within" >&9; echo "alive $$ leader" >&9; wait'
