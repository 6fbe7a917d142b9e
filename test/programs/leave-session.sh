# Starts a daemon, `leave-session.sh COMMAND…`, and ends when that has a session of its own. `setsid -f` ends before: whoever looks in that
# moment finds an orphan in the session of the scope, and knows whose it is.
"$@" &
until read -r _ _ _ _ _ session _ <"/proc/$!/stat" && [ "$session" = "$!" ]; do
  [ -d "/proc/$!" ] || exit 1
done
